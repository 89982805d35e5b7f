package formats

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
)

// imageRow is a way to sign an image.
type imageRow struct {
	name  string
	args  []string // of hsmgate, beside the key and the reference
	trust func(b *bench)
	// check has the tool judge the signature of an image.
	tool  string
	check func(b *bench, reference string) error
}

var imageRows = []imageRow{
	{"cosign", []string{"image", "sign"}, trustPEM, "cosign", func(b *bench, ref string) error {
		return b.run("cosign", append(digestFlag(b), "verify", "--key", "key.pem", "--insecure-ignore-tlog", ref)...)
	}},
	{"sigstore", []string{"image", "sign", "--format", "sigstore"}, trustPEM, "cosign", func(b *bench, ref string) error {
		return b.run("cosign", append(digestFlag(b), "verify", "--key", "key.pem", "--insecure-ignore-tlog", ref)...)
	}},
	{"cosign attestation", append([]string{"image", "attest"}, provenanceArgs...), trustPEM, "cosign", cosignImageAttestation},
	{"sigstore attestation", append([]string{"image", "attest", "--format", "sigstore"}, provenanceArgs...), trustPEM, "cosign", cosignImageAttestation},
	{"notation", []string{"image", "sign", "--format", "notation", "--certificate", "chain.pem"}, trustIssued, "notation", func(b *bench, ref string) error {
		return b.run("notation", "verify", "--insecure-registry", ref)
	}},
	{"cosign by openssl", []string{"image", "sign"}, trustPEM, "openssl", opensslSimpleSigning},
}

func cosignImageAttestation(b *bench, ref string) error {
	return b.run("cosign", append(digestFlag(b), "verify-attestation", "--key", "key.pem", "--insecure-ignore-tlog", "--type", "slsaprovenance1", ref)...)
}

// TestFormatsImages signs images in a registry, has each signature judged, and judged again under a copy of it at another
// image, in registries with and without the referrers API.
func TestFormatsImages(t *testing.T) {
	g := gatewaytest.New(t)
	for _, r := range imageRows {
		for _, spec := range []api.KeySpec{api.P256, api.RSA2048, api.P384} {
			for _, referrers := range []bool{true, false} {
				t.Run(r.name+"/"+string(spec)+"/"+map[bool]string{true: "referrers", false: "tags"}[referrers], func(t *testing.T) {
					needs(t, r.tool)
					b := &bench{T: t, dir: t.TempDir(), g: g}
					key := g.CreateKey(spec, api.SignVerify)
					b.key = key.KeyId
					if spec == api.P384 {
						b.key = "alias/" + strings.ToLower(strings.NewReplacer("/", "-", "_", "-", " ", "-").Replace(t.Name())) + "-p384"
						g.Call("POST", "/v1/aliases", api.CreateAliasRequest{AliasName: b.key, TargetKeyId: key.KeyId}, nil)
					}
					server := httptest.NewServer(registry.New(registry.WithReferrersSupport(referrers), registry.Logger(log.New(io.Discard, "", 0))))
					defer server.Close()
					r.play(b, strings.TrimPrefix(server.URL, "http://")+"/team/app:1.0")
				})
			}
		}
	}
}

func (r imageRow) play(b *bench, ref string) {
	r.trust(b)
	pushImage(b, ref, "one")
	args := append(append([]string{}, r.args...), "--key", b.key, "--output", "json", ref)
	var out struct{ Image, Signature, Tag, Status string }
	b.ok(json.Unmarshal([]byte(b.hsmgate(args...)), &out))
	if out.Status != "signed" {
		b.Fatal(out)
	}
	if err := r.check(b, ref); err != nil {
		b.Fatal("a good signature is refused: ", err)
	}
	if err := r.verify(b, ref); err != nil {
		b.Error("hsmgate image verify refuses a good signature: ", err)
	}
	b.ok(json.Unmarshal([]byte(b.hsmgate(args...)), &out))
	if out.Status != "already signed" {
		b.Error("signed again: ", out)
	}
	moved := pushImage(b, ref, "two")
	if err := r.check(b, ref); err == nil {
		b.Error("another image under the same tag is accepted")
	}
	if err := r.verify(b, ref); err == nil || !strings.Contains(err.Error(), "there is no signature") {
		b.Error("hsmgate image verify, of another image under the same tag: ", err)
	}
	if out.Tag == "" {
		return
	}
	// The signature of the first, put where that of the second belongs.
	tag, err := name.NewTag(ref)
	b.ok(err)
	stolen, err := remote.Image(tag.Context().Tag(out.Tag))
	b.ok(err)
	_, ending, _ := strings.Cut(out.Tag, ".")
	b.ok(remote.Write(tag.Context().Tag("sha256-"+moved.Hex+"."+ending), stolen))
	if err := r.check(b, ref); err == nil {
		b.Error("a signature of another image is accepted")
	}
	if err := r.verify(b, ref); err == nil || !strings.Contains(err.Error(), "it is of another artifact") {
		b.Error("hsmgate image verify, of a signature of another image: ", err)
	}
}

// verify has the program itself judge, offline.
func (r imageRow) verify(b *bench, ref string) error {
	args := []string{"image", "verify", "--public-key", "key.pem", ref}
	if slices.Contains(r.args, "attest") {
		args = append(args, "--type", "slsaprovenance1")
	}
	return b.run(program, args...)
}

// pushImage pushes an image and gives its digest.
func pushImage(b *bench, ref, author string) v1.Hash {
	image, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{Author: author, Architecture: "amd64", OS: "linux"})
	b.ok(err)
	tag, err := name.NewTag(ref)
	b.ok(err)
	b.ok(remote.Write(tag, image))
	digest, err := image.Digest()
	b.ok(err)
	return digest
}

// trustIssued makes an issuer, has it certify the key, and has notation trust it.
func trustIssued(b *bench) {
	trustPEM(b)
	text, err := os.ReadFile(b.path("key.pem"))
	b.ok(err)
	block, _ := pem.Decode(text)
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	b.ok(err)
	ca, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	b.ok(err)
	from, until := time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Release CA", Organization: []string{"Example"}, Country: []string{"DE"}}, NotBefore: from, NotAfter: until,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
	rootDER, err := x509.CreateCertificate(rand.Reader, root, root, &ca.PublicKey, ca)
	b.ok(err)
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "Release", Organization: []string{"Example"}, Country: []string{"DE"}}, NotBefore: from, NotAfter: until,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}, BasicConstraintsValid: true}
	parent, err := x509.ParseCertificate(rootDER)
	b.ok(err)
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, parent, public, ca)
	b.ok(err)
	encode := func(der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	b.write("chain.pem", encode(leafDER)+encode(rootDER))
	b.write("ca.pem", encode(rootDER))
	b.ok(os.MkdirAll(b.path(".config/notation/truststore/x509/ca/release"), 0o755))
	b.write(".config/notation/truststore/x509/ca/release/root.pem", encode(rootDER))
	b.write(".config/notation/trustpolicy.json", `{"version":"1.0","trustPolicies":[{"name":"release","registryScopes":["*"],"signatureVerification":{"level":"strict"},"trustStores":["ca:release"],"trustedIdentities":["*"]}]}`)
}

// opensslSimpleSigning checks the layer under the tag of a signature with OpenSSL, and that it names the image.
func opensslSimpleSigning(b *bench, ref string) error {
	tag, err := name.NewTag(ref)
	b.ok(err)
	image, err := remote.Head(tag)
	b.ok(err)
	signed, err := remote.Image(tag.Context().Tag("sha256-" + image.Digest.Hex + ".sig"))
	if err != nil {
		return err
	}
	m, err := signed.Manifest()
	b.ok(err)
	layer, err := signed.LayerByDigest(m.Layers[0].Digest)
	b.ok(err)
	r, err := layer.Compressed()
	b.ok(err)
	payload, err := io.ReadAll(r)
	b.ok(err)
	b.write("payload", string(payload))
	b.write("signature.b64", m.Layers[0].Annotations["dev.cosignproject.cosign/signature"])
	hash := "-sha256"
	if strings.HasSuffix(b.key, "p384") {
		hash = "-sha384"
	}
	if out, err := exec.Command("sh", "-c", "cd "+b.dir+" && base64 -d signature.b64 >signature && openssl dgst "+hash+" -verify key.pem -signature signature payload").CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	return b.run("grep", "-qF", image.Digest.String(), "payload")
}
