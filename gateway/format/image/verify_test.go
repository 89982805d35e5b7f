package image

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
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
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/notaryproject/notation-core-go/signature"
	"github.com/notaryproject/notation-core-go/signature/jws"

	"github.com/hsmgate/hsmgate/gateway/format"
)

// way is one that signs, and the one that checks that.
type way struct {
	sign   func(*Image, *format.Key) (*Signed, error)
	verify func(*Image, *format.Trust) (*Signed, error)
	ending string // of its tag; "" refers
	says   bool   // it is an attestation
}

var ways = map[string]way{
	"cosign":               {(*Image).SignTag, (*Image).VerifyTag, "sig", false},
	"sigstore":             {(*Image).SignBundle, (*Image).VerifyBundle, "", false},
	"notation":             {(*Image).SignNotation, (*Image).VerifyNotation, "", false},
	"cosign attestation":   {(*Image).AttestTag, (*Image).VerifyTagAttestation, "att", true},
	"sigstore attestation": {(*Image).AttestBundle, (*Image).VerifyBundleAttestation, "", true},
}

var built = &format.Predicate{Type: "https://example.org/built/v1", Body: json.RawMessage(`{"by":"ci"}`)}

// keyOf is a key with its certificate by a root, until then.
func keyOf(t *testing.T, signer crypto.Signer, until time.Time) (*format.Key, *x509.Certificate) {
	t.Helper()
	ca, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	issue := func(c, parent *x509.Certificate, public any) *x509.Certificate {
		der, err := x509.CreateCertificate(rand.Reader, c, parent, public, ca)
		must(t, err)
		made, err := x509.ParseCertificate(der)
		must(t, err)
		return made
	}
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA", Organization: []string{"E"}, Country: []string{"DE"}}, NotBefore: until.Add(-2 * time.Hour), NotAfter: until,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	root = issue(root, root, &ca.PublicKey)
	leaf := issue(&x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "Release", Organization: []string{"E"}, Country: []string{"DE"}}, NotBefore: root.NotBefore, NotAfter: until,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}, BasicConstraintsValid: true}, root, signer.Public())
	return &format.Key{Signer: signer, Certificates: []*x509.Certificate{leaf, root}, Predicate: built}, root
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// signers are one key of each kind.
func signers(t *testing.T) map[string]crypto.Signer {
	t.Helper()
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	must(t, err)
	of, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	return map[string]crypto.Signer{"P-256": p256, "P-384": p384, "RSA": of, "Ed25519": ed}
}

// room is a registry with a repository.
type room struct {
	t    *testing.T
	host string
	// changes what is answered.
	lie func(path string, body []byte) []byte
}

func newRoom(t *testing.T, referrers bool) *room {
	r := &room{t: t}
	inner := registry.New(registry.WithReferrersSupport(referrers), registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if r.lie == nil || q.Method != http.MethodGet {
			inner.ServeHTTP(w, q)
			return
		}
		kept := httptest.NewRecorder()
		inner.ServeHTTP(kept, q)
		body := r.lie(q.URL.Path, kept.Body.Bytes())
		for name, values := range kept.Header() {
			w.Header()[name] = values
		}
		w.Header().Del("Content-Length")
		w.WriteHeader(kept.Code)
		_, _ = w.Write(body)
	}))
	t.Cleanup(server.Close)
	r.host = strings.TrimPrefix(server.URL, "http://")
	return r
}

// push puts an image under a tag.
func (r *room) push(tag, author string) *Image {
	r.t.Helper()
	made, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{Author: author, Architecture: "amd64", OS: "linux"})
	must(r.t, err)
	ref, err := name.NewTag(r.host + "/team/app:" + tag)
	must(r.t, err)
	must(r.t, remote.Write(ref, made))
	return r.find("team/app:" + tag)
}

func (r *room) find(reference string) *Image {
	r.t.Helper()
	found, err := Find(context.Background(), r.host+"/"+reference, Access{Patience: time.Minute})
	must(r.t, err)
	return found
}

func trusts(k crypto.Signer, w way) *format.Trust {
	t := &format.Trust{Keys: []crypto.PublicKey{k.Public()}}
	if w.says {
		t.Predicate = &format.Predicate{Type: built.Type}
	}
	return t
}

// refused asks for an error of a kind with words.
func refused(t *testing.T, err, kind error, says string) {
	t.Helper()
	if !errors.Is(err, kind) || !strings.Contains(err.Error(), says) {
		t.Errorf("%v, not %v with %q", err, kind, says)
	}
}

// TestVerify: what is signed in each way by each kind of key is good, and what is not is refused with its reason.
func TestVerify(t *testing.T) {
	keys := signers(t)
	stranger := signers(t)
	for called, w := range ways {
		for kind, signer := range keys {
			if called == "notation" && kind == "Ed25519" {
				continue
			}
			t.Run(called+"/"+kind, func(t *testing.T) {
				t.Parallel()
				r := newRoom(t, kind != "RSA")
				k, root := keyOf(t, signer, time.Now().Add(time.Hour))
				one := r.push("1", "one")
				_, err := w.verify(one, trusts(signer, w))
				refused(t, err, format.ErrNotSigned, "there is no signature")
				other, _ := keyOf(t, stranger["P-256"], time.Now().Add(time.Hour))
				_, err = w.sign(one, other)
				must(t, err)
				_, err = w.verify(one, trusts(signer, w))
				refused(t, err, format.ErrNotGood, map[bool]string{true: "is not trusted", false: "not made by this key"}[called == "notation"])

				made, err := w.sign(one, k) // beside the other's
				must(t, err)
				good, err := w.verify(one, trusts(signer, w))
				if err != nil || good.Reference != made.Reference || good.Tag != made.Tag {
					t.Fatalf("%+v: %v", good, err)
				}
				if _, err := w.verify(one, trusts(stranger["P-256"], w)); err != nil {
					t.Error("the other's signature is gone: ", err)
				}
				_, err = w.verify(one, &format.Trust{Issuers: []*x509.Certificate{root}, Predicate: trusts(signer, w).Predicate})
				if called != "notation" {
					refused(t, err, format.ErrNotGood, "no key is trusted")
				} else if err != nil {
					t.Error("the issuer is not enough: ", err)
				}

				// Another image under the tag has none, also with a copy of the first's.
				two := r.push("1", "two")
				_, err = w.verify(two, trusts(signer, w))
				refused(t, err, format.ErrNotSigned, "there is no signature")
				r.copyTo(w, made, one, two)
				_, err = w.verify(two, trusts(signer, w))
				refused(t, err, format.ErrNotGood, "it is of another artifact"+map[bool]string{true: ", " + one.Digest.DigestStr()}[called == "cosign" || called == "notation"])
				if _, err := w.verify(r.find("team/app@"+one.Digest.DigestStr()), trusts(signer, w)); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// copyTo puts a signature of one image where that of another belongs.
func (r *room) copyTo(w way, made *Signed, one, two *Image) {
	r.t.Helper()
	at, err := name.NewDigest(made.Reference)
	must(r.t, err)
	held, err := remote.Image(at)
	must(r.t, err)
	if w.ending != "" {
		must(r.t, remote.Write(two.tag(w.ending), held))
		return
	}
	m, err := held.Manifest()
	must(r.t, err)
	blob, err := one.read(m.Layers[0])
	must(r.t, err)
	_, err = two.refer(m.Config.MediaType, m.Config.MediaType, m.Layers[0].MediaType, blob, nil)
	must(r.t, err)
}

// TestVerifyChangedBytes: no byte of what is signed, and of the signature, can be another.
func TestVerifyChangedBytes(t *testing.T) {
	signer := signers(t)["P-256"]
	k, _ := keyOf(t, signer, time.Now().Add(time.Hour))
	r := newRoom(t, true)
	i := r.push("1", "one")
	trust := trusts(signer, ways["cosign"])
	_, err := i.SignTag(k)
	must(t, err)
	there, _, err := i.underTag("sig", new(reason), func(v1.Descriptor, []byte) error { return format.ErrNotGood })
	must(t, err)
	m, err := there.Manifest()
	must(t, err)
	payload, err := i.read(m.Layers[0])
	must(t, err)
	d := m.Layers[0]
	must(t, i.simplySigned(trust, d, payload))
	for n := range payload {
		changed := bytes.Clone(payload)
		changed[n] ^= 1
		refused(t, i.simplySigned(trust, d, changed), format.ErrNotGood, "not made by this key")
	}
	text, err := base64.StdEncoding.DecodeString(d.Annotations[signatureNote])
	must(t, err)
	for n := range text {
		changed := bytes.Clone(text)
		changed[n] ^= 1
		d.Annotations = map[string]string{signatureNote: base64.StdEncoding.EncodeToString(changed)}
		refused(t, i.simplySigned(trust, d, payload), format.ErrNotGood, "")
	}
	d.Annotations = nil
	refused(t, i.simplySigned(trust, d, payload), format.ErrNotGood, "no signature in base64")
	d.MediaType = "text/plain"
	refused(t, i.simplySigned(trust, d, payload), format.ErrNotSigned, "text/plain")
}

// TestVerifyOtherTexts: a text that the key has signed for something else is no signature of an image.
func TestVerifyOtherTexts(t *testing.T) {
	signer := signers(t)["P-256"]
	k, _ := keyOf(t, signer, time.Now().Add(time.Hour))
	i := newRoom(t, true).push("1", "one")
	for text, says := range map[string]string{
		"a text": "no \"cosign container image signature\"",
		`{"critical":{"identity":{},"image":{"docker-manifest-digest":"` + i.Digest.DigestStr() + `"},"type":"atomic container signature"}}`: `is a "atomic container signature"`,
		`{"critical":{"type":"cosign container image signature"}}`:                                                                           "of another artifact",
	} {
		made, err := format.SignMessage(k, []byte(text))
		must(t, err)
		d := v1.Descriptor{MediaType: simpleSigning, Annotations: map[string]string{signatureNote: base64.StdEncoding.EncodeToString(made)}}
		refused(t, i.simplySigned(trusts(signer, way{}), d, []byte(text)), format.ErrNotGood, says)
	}
}

// TestVerifyPredicate: an attestation says what is asked for, and is no signature; nor is a signature one.
func TestVerifyPredicate(t *testing.T) {
	signer := signers(t)["P-256"]
	k, _ := keyOf(t, signer, time.Now().Add(time.Hour))
	for _, called := range []string{"cosign attestation", "sigstore attestation"} {
		i, w := newRoom(t, true).push("1", "one"), ways[called]
		_, err := w.sign(i, k)
		must(t, err)
		trust := trusts(signer, w)
		trust.Predicate = &format.Predicate{Type: built.Type, Body: json.RawMessage(`{ "by" : "ci" }`)}
		if _, err := w.verify(i, trust); err != nil {
			t.Error(err)
		}
		trust.Predicate = &format.Predicate{Type: built.Type, Body: json.RawMessage(`{"by":"me"}`)}
		_, err = w.verify(i, trust)
		refused(t, err, format.ErrNotGood, "it says something else")
		trust.Predicate = &format.Predicate{Type: "https://example.org/other"}
		_, err = w.verify(i, trust)
		refused(t, err, format.ErrNotSigned, built.Type)
		trust.Predicate = nil
		_, err = i.VerifyBundle(trust)
		refused(t, err, format.ErrNotSigned, "")
		_, err = i.VerifyTag(trust)
		refused(t, err, format.ErrNotSigned, "")
	}
}

// TestVerifyNotation: what the envelope and the certificates say of themselves counts.
func TestVerifyNotation(t *testing.T) {
	signer := signers(t)["P-256"]
	k, root := keyOf(t, signer, time.Now().Add(time.Hour))
	i := newRoom(t, true).push("1", "one")
	spec, err := notationKey(k)
	must(t, err)
	payload, err := json.Marshal(target{i.about})
	must(t, err)
	envelope := func(change func(*signature.SignRequest)) []byte {
		q := &signature.SignRequest{Payload: signature.Payload{ContentType: notationPayload, Content: payload}, Signer: &notationSigner{key: k, spec: spec},
			SigningTime: time.Now().Add(-time.Minute), SigningScheme: signature.SigningSchemeX509, SigningAgent: "other"}
		change(q)
		made, err := jws.NewEnvelope().Sign(q)
		must(t, err)
		return made
	}
	trust := trusts(signer, way{})
	must(t, i.notated(trust, envelope(func(*signature.SignRequest) {})))
	must(t, i.notated(trust, envelope(func(q *signature.SignRequest) { q.Expiry = time.Now().Add(time.Hour) })))
	for says, change := range map[string]func(*signature.SignRequest){
		"it was good until":   func(q *signature.SignRequest) { q.Expiry = time.Now().Add(-time.Second) },
		"signing scheme":      func(q *signature.SignRequest) { q.SigningScheme = signature.SigningSchemeX509SigningAuthority },
		`"text/plain"`:        func(q *signature.SignRequest) { q.Payload.ContentType = "text/plain" },
		"of another artifact": func(q *signature.SignRequest) { q.Payload.Content = []byte(`{"targetArtifact":{}}`) },
		"the critical attribute x.y": func(q *signature.SignRequest) {
			q.ExtendedSignedAttributes = []signature.Attribute{{Key: "x.y", Critical: true, Value: "z"}}
		},
		"no application/vnd.cncf.notar": func(q *signature.SignRequest) { q.Payload.Content = []byte(`{"targetArtifact":1}`) },
	} {
		refused(t, i.notated(trust, envelope(change)), format.ErrNotGood, says)
	}
	must(t, i.notated(trust, envelope(func(q *signature.SignRequest) {
		q.ExtendedSignedAttributes = []signature.Attribute{{Key: "x.y", Value: "z"}}
	})))
	good := envelope(func(*signature.SignRequest) {})
	for n := range good {
		changed := bytes.Clone(good)
		changed[n] ^= 1
		if err := i.notated(&format.Trust{Issuers: []*x509.Certificate{root}}, changed); err == nil && !bytes.Contains(good[max(0, n-40):n+1], []byte("io.cncf.notary.signingAgent")) && !sameJSON(good, changed) {
			t.Errorf("byte %d (%q) may be another", n, good[max(0, n-20):n+1])
		}
	}
	refused(t, i.notated(trust, []byte("x")), format.ErrNotSigned, "")

	old, oldRoot := keyOf(t, signer, time.Now().Add(-time.Minute))
	k = old
	ended := envelope(func(q *signature.SignRequest) { q.SigningTime = time.Now().Add(-time.Hour) })
	refused(t, i.notated(&format.Trust{Issuers: []*x509.Certificate{oldRoot}}, ended), format.ErrNotGood, "has expired")
	refused(t, i.notated(&format.Trust{Issuers: []*x509.Certificate{root}}, ended), format.ErrNotGood, "is not trusted")
}

// sameJSON says whether two texts hold the same header, payload and signature.
func sameJSON(a, b []byte) bool {
	var x, y struct {
		Payload, Protected, Signature string
		Header                        struct {
			X5c [][]byte `json:"x5c"`
		}
	}
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return false
	}
	made, err1 := base64.RawURLEncoding.DecodeString(x.Signature)
	also, err2 := base64.RawURLEncoding.DecodeString(y.Signature) // its last character has bits that say nothing
	return errors.Join(err1, err2) == nil && x.Payload == y.Payload && x.Protected == y.Protected && bytes.Equal(made, also) && slices.EqualFunc(x.Header.X5c, y.Header.X5c, bytes.Equal)
}

// TestVerifyLyingRegistry: a registry that gives something else than the digest says is told.
func TestVerifyLyingRegistry(t *testing.T) {
	signer := signers(t)["P-256"]
	k, _ := keyOf(t, signer, time.Now().Add(time.Hour))
	r := newRoom(t, true)
	i := r.push("1", "one")
	_, err := i.SignTag(k)
	must(t, err)
	r.lie = func(path string, body []byte) []byte {
		if strings.HasSuffix(path, i.Digest.DigestStr()) {
			return append(body, ' ')
		}
		return body
	}
	var told *RegistryError
	_, err = Find(t.Context(), i.Digest.String(), Access{Patience: time.Minute})
	if refused(t, err, ErrAltered, ""); !errors.As(err, &told) {
		t.Error(err)
	}
	if found := r.find("team/app:1"); found.Digest != i.Digest {
		t.Error("a tag may name what it likes: ", found.Digest)
	}
	r.lie = func(path string, body []byte) []byte {
		if strings.Contains(path, "/blobs/") {
			return append([]byte(" "), body[1:]...)
		}
		return body
	}
	if _, err := i.VerifyTag(trusts(signer, way{})); !errors.As(err, &told) || errors.Is(err, format.ErrNotGood) {
		t.Error(err)
	}
	r.lie = nil
	more := make([]mutate.Addendum, maxBeside+1)
	for n := range more {
		more[n].Layer = static.NewLayer([]byte("x"), simpleSigning)
	}
	many, err := mutate.Append(empty.Image, more...)
	must(t, err)
	must(t, remote.Write(i.tag("sig"), many))
	if _, err := i.VerifyTag(trusts(signer, way{})); err == nil || !strings.Contains(err.Error(), "more than 1000 signatures") {
		t.Error(err)
	}
}
