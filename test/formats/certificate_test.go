package formats

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
)

// certifiable are the keys of which there are certificates.
var certifiable = append([]api.KeySpec{api.Ed25519}, nistAndRSA...)

// newBench has a folder and a key for each name, with that spec.
func newBench(t *testing.T, g *gatewaytest.Gateway, spec api.KeySpec, names ...string) *bench {
	t.Helper()
	b := &bench{T: t, dir: t.TempDir(), g: g}
	for _, name := range names {
		key := g.CreateKey(spec, api.SignVerify)
		g.Call("POST", "/v1/aliases", api.CreateAliasRequest{AliasName: "alias/" + name, TargetKeyId: key.KeyId}, nil)
	}
	return b
}

// refused runs the program, which has to exit with this code and to say this.
func (b *bench) refused(code int, says string, args ...string) {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), program, args...)
	cmd.Dir = b.dir
	cmd.Env = append(os.Environ(), b.gateway()...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != code || !strings.Contains(string(out), says) {
		b.Errorf("hsmgate %s: %v\n%s\nwant exit code %d and %q", strings.Join(args, " "), err, out, code, says)
	}
}

// TestFormatsCertificates has OpenSSL judge an authority, what it issues and what it revokes, with each kind of key.
func TestFormatsCertificates(t *testing.T) {
	g := gatewaytest.New(t)
	for _, spec := range certifiable {
		t.Run(string(spec), func(t *testing.T) {
			suffix := strings.ToLower(strings.ReplaceAll(string(spec), "_", "-"))
			ca, leaf := "ca-"+suffix, "leaf-"+suffix
			b := newBench(t, g, spec, ca, leaf)
			b.hsmgate("certificate", "self-signed", "--key", "alias/"+ca, "--subject", `CN=Test CA,O=Example\, Inc.,C=DE`, "--profile", "ca", "--path-length", "0", "--until", "3650d", "-o", "ca.pem")
			b.hsmgate("certificate", "csr", "--key", "alias/"+leaf, "--subject", "CN=Release", "--email", "release@example.org", "-o", "leaf.csr")
			b.ok(b.run("openssl", "req", "-in", "leaf.csr", "-verify", "-noout"))
			for _, profile := range []string{"code-signing", "timestamping"} {
				b.hsmgate("certificate", "issue", "--key", "alias/"+ca, "--ca", "ca.pem", "--profile", profile, "--crl-url", "http://127.0.0.1/ca.crl", "-o", profile+".pem", "leaf.csr")
			}
			b.ok(b.run("openssl", "verify", "-x509_strict", "-CAfile", "ca.pem", "code-signing.pem"))
			b.ok(b.run("openssl", "verify", "-x509_strict", "-purpose", "timestampsign", "-CAfile", "ca.pem", "timestamping.pem"))
			if err := b.run("openssl", "verify", "-purpose", "timestampsign", "-CAfile", "ca.pem", "code-signing.pem"); err == nil {
				t.Error("a certificate for code signing is taken for one of a timestamp authority")
			}
			b.revoke("alias/" + ca)
			b.limits("alias/"+ca, "alias/"+leaf)
		})
	}
}

// revoke has one of two certificates revoked.
func (b *bench) revoke(ca string) {
	b.Helper()
	out, err := exec.CommandContext(b.Context(), "openssl", "x509", "-in", b.path("code-signing.pem"), "-noout", "-serial").Output()
	b.ok(err)
	serial := strings.TrimSpace(strings.TrimPrefix(string(out), "serial="))
	if len(serial) < 32 {
		b.Errorf("serial number %s has less than 128 bits", serial)
	}
	b.write("revoked.txt", "# what was lost\n"+serial+",2026-01-31T12:00:00Z,keyCompromise\n")
	b.hsmgate("certificate", "crl", "--key", ca, "--ca", "ca.pem", "--revoked", "revoked.txt", "--number", "7", "--next-update", "7d", "-o", "ca.crl")
	b.ok(b.run("openssl", "crl", "-in", "ca.crl", "-CAfile", "ca.pem", "-noout"))
	b.ok(b.run("openssl", "verify", "-crl_check", "-CRLfile", "ca.crl", "-CAfile", "ca.pem", "timestamping.pem"))
	if err := b.run("openssl", "verify", "-crl_check", "-CRLfile", "ca.crl", "-CAfile", "ca.pem", "code-signing.pem"); err == nil || !strings.Contains(err.Error(), "certificate revoked") {
		b.Errorf("a revoked certificate: %v", err)
	}
}

// limits are what an authority does not issue.
func (b *bench) limits(ca, leaf string) {
	b.Helper()
	issue := []string{"certificate", "issue", "--key", ca, "--ca", "ca.pem", "-o", "none.pem", "--profile"}
	b.refused(2, "until", append(issue, "code-signing", "--until", "9999d", "leaf.csr")...)
	b.refused(2, "path length", append(issue, "ca", "leaf.csr")...)
	b.refused(2, "another key", "certificate", "issue", "--key", leaf, "--ca", "ca.pem", "-o", "none.pem", "--profile", "code-signing", "leaf.csr")
	b.refused(2, "not the certificate of an authority", "certificate", "issue", "--key", leaf, "--ca", "code-signing.pem", "-o", "none.pem", "--profile", "code-signing", "leaf.csr")
	b.write("lost.txt", "xyz\n")
	b.refused(2, "line 1", "certificate", "crl", "--key", ca, "--ca", "ca.pem", "--revoked", "lost.txt", "-o", "none.pem")
	b.ok(b.run("openssl", "req", "-in", "leaf.csr", "-outform", "DER", "-out", "leaf.der"))
	flip(b, b.path("leaf.der")) // in the key or the signature
	b.refused(2, "", append(issue, "code-signing", "leaf.der")...)
	if _, err := os.Stat(b.path("none.pem")); !errors.Is(err, os.ErrNotExist) {
		b.Error("a refusal left a file: ", err)
	}
}
