package formats

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/format"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
)

// TestFormatsTimestamp signs with the timestamp of an authority that openssl ts plays; the format's own tool finds it good.
func TestFormatsTimestamp(t *testing.T) {
	g := gatewaytest.New(t)
	for _, r := range []row{
		{name: "pe", make: program64, check: osslsigncodeStamped},
		{name: "msi", tools: []string{"wixl"}, make: msiPackage, check: osslsigncodeStamped},
		{name: "cab", tools: []string{"gcab"}, make: cabinet, check: osslsigncodeStamped},
		{name: "cat", make: catalog, check: osslsigncodeStamped},
		{name: "ps1", make: script(""), lacks: recentOsslsigncode, check: osslsigncodeStamped},
		{name: "appx", make: appxPackage, lacks: recentOsslsigncode, check: osslsigncodeStamped},
		{name: "jar", tools: []string{"jar", "jarsigner", "keytool"}, make: javaArchive, check: jarsignerStamped},
	} {
		t.Run(r.name, func(t *testing.T) {
			r.tools = append(r.tools, "openssl", "osslsigncode")
			r.needs(t)
			b := &bench{T: t, dir: t.TempDir(), g: g, key: g.CreateKey(api.P256, api.SignVerify).KeyId}
			file := stamped(b, r.name, r.make(b))
			b.ok(r.check(b, file))
		})
	}
}

// stamped signs a file with a timestamp, and gives the signed one.
func stamped(b *bench, name, file string) string {
	f, err := format.Named(name)
	b.ok(err)
	b.ok(b.run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "tsa.key", "-out", "tsa.pem", "-subj", "/CN=Time",
		"-addext", "keyUsage=critical,digitalSignature", "-addext", "extendedKeyUsage=critical,timeStamping"))
	b.write("tsa.cnf", "[tsa]\ndefault_tsa = t\n[t]\nserial = serial\ndigests = sha256, sha384, sha512\ndefault_policy = 1.2.3.4\nsigner_digest = sha256\n")
	s := b.signer()
	key := &format.Key{Signer: s, Certificates: []*x509.Certificate{certify(b)}, Timestamp: b.stamp}
	in, err := os.Open(file)
	b.ok(err)
	defer in.Close()
	signed := b.path("signed." + file[strings.LastIndex(file, ".")+1:])
	out, err := os.Create(signed)
	b.ok(err)
	b.ok(f.Sign(b.Context(), key, in, out))
	b.ok(out.Close())
	again, err := os.Open(signed)
	b.ok(err)
	defer again.Close()
	asked := &format.Trust{Keys: []crypto.PublicKey{s.Public()}, Stamped: true}
	b.ok(f.Verify(asked, again, nil))
	without, err := os.Create(b.path("without" + filepath.Ext(file)))
	b.ok(err)
	defer without.Close()
	key.Timestamp = nil
	b.ok(f.Sign(b.Context(), key, in, without))
	b.ok(f.Verify(&format.Trust{Keys: asked.Keys}, without, nil))
	if err := f.Verify(asked, without, nil); !errors.Is(err, format.ErrNotGood) {
		b.Errorf("a signature without the timestamp that is asked for: %v", err)
	}
	return signed
}

// stamp is a Key.Timestamp.
func (b *bench) stamp(_ context.Context, h crypto.Hash, digest []byte) ([]byte, error) {
	b.ok(b.run("openssl", "ts", "-query", "-digest", hex.EncodeToString(digest), "-"+strings.ToLower(strings.ReplaceAll(h.String(), "-", "")), "-cert", "-out", "query.tsq"))
	b.ok(b.run("openssl", "ts", "-reply", "-config", "tsa.cnf", "-queryfile", "query.tsq", "-signer", "tsa.pem", "-inkey", "tsa.key", "-token_out", "-out", "token.der"))
	return os.ReadFile(b.path("token.der"))
}

func osslsigncodeStamped(b *bench, file string) error {
	if err := b.run("sh", "-c", `osslsigncode verify -CAfile release.pem -TSA-CAfile tsa.pem -in "$1" >checked 2>&1 || { cat checked; exit 1; }`, "sh", file); err != nil {
		return err
	}
	return b.says("Timestamp Server Signature verification: ok")
}

func jarsignerStamped(b *bench, file string) error {
	b.ok(b.run("keytool", "-importcert", "-noprompt", "-keystore", "trust.p12", "-storepass", "changeit", "-alias", "release", "-file", "release.pem"))
	b.ok(b.run("keytool", "-importcert", "-noprompt", "-keystore", "trust.p12", "-storepass", "changeit", "-alias", "tsa", "-file", "tsa.pem"))
	if err := b.run("sh", "-c", `jarsigner -verify -strict -verbose -certs -keystore trust.p12 -storepass changeit "$1" >checked 2>&1 || { cat checked; exit 1; }`, "sh", file); err != nil {
		return err
	}
	return b.says("Timestamped by")
}

// says is nil if a tool has written these words to the file checked.
func (b *bench) says(words string) error {
	text, err := os.ReadFile(b.path("checked"))
	if err == nil && !strings.Contains(string(text), words) {
		err = fmt.Errorf("the tool does not say %q:\n%s", words, text)
	}
	return err
}
