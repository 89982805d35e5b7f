// Package identitytest has what tests of identities need: a real OIDC issuer on
// loopback, claims as GitHub, GitLab and Kubernetes send them, and a CA that
// makes client certificates and revokes them.
package identitytest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// Issuer is an OIDC issuer with discovery and a key set.
type Issuer struct {
	URL    string       // the issuer, and where it is served
	CAFile string       // of an issuer made by NewTLSIssuer: the certificate of its CA
	Asked  atomic.Int64 // how often the key set was asked for

	t       testing.TB
	server  *httptest.Server
	mu      sync.Mutex
	signers map[string]signer
	keys    []jose.JSONWebKey
	answer  http.HandlerFunc // in place of all others
}

type signer struct {
	algorithm jose.SignatureAlgorithm
	key       crypto.Signer
}

// NewIssuer starts an issuer with the keys "rsa" (RS256) and "ec" (ES256).
func NewIssuer(t testing.TB) *Issuer { return start(t, (*httptest.Server).Start) }

// NewTLSIssuer is NewIssuer under https.
func NewTLSIssuer(t testing.TB) *Issuer {
	s := start(t, (*httptest.Server).StartTLS)
	s.CAFile = filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.server.Certificate().Raw})
	must(t, os.WriteFile(s.CAFile, block, 0o600))
	return s
}

func start(t testing.TB, serve func(*httptest.Server)) *Issuer {
	t.Helper()
	s := &Issuer{t: t, signers: make(map[string]signer)}
	s.server = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	s.server.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that fail on purpose
	serve(s.server)
	t.Cleanup(s.server.Close)
	s.URL = s.server.URL
	s.AddKey("rsa", jose.RS256)
	s.AddKey("ec", jose.ES256)
	return s
}

func (s *Issuer) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	answer, keys := s.answer, jose.JSONWebKeySet{Keys: append([]jose.JSONWebKey(nil), s.keys...)}
	s.mu.Unlock()
	if r.URL.Path == "/jwks" {
		s.Asked.Add(1)
	}
	w.Header().Set("Content-Type", "application/json")
	switch {
	case answer != nil:
		answer(w, r)
	case r.URL.Path == "/.well-known/openid-configuration":
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": s.URL, "jwks_uri": s.URL + "/jwks"})
	case r.URL.Path == "/jwks":
		_ = json.NewEncoder(w).Encode(keys)
	default:
		http.NotFound(w, r)
	}
}

// Answer has every request answered in another way; nil: as before.
func (s *Issuer) Answer(with http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = with
}

// Close ends the server, as if the provider were away.
func (s *Issuer) Close() { s.server.Close() }

// AddKey makes a key and publishes it.
func (s *Issuer) AddKey(kid string, algorithm jose.SignatureAlgorithm) {
	s.AddHiddenKey(kid, algorithm)
	s.Publish(kid, s.Public(kid), algorithm)
}

// AddHiddenKey makes a key that signs and is not published.
func (s *Issuer) AddHiddenKey(kid string, algorithm jose.SignatureAlgorithm) {
	s.t.Helper()
	var key crypto.Signer
	var err error
	switch algorithm {
	case jose.ES256:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case jose.ES384:
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case jose.EdDSA:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	must(s.t, err)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.signers[kid] = signer{algorithm, key}
}

// Public is the public key of that name.
func (s *Issuer) Public(kid string) crypto.PublicKey {
	return s.Private(kid).Public()
}

// Private is the private key of that name.
func (s *Issuer) Private(kid string) crypto.Signer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.signers[kid].key
}

// Publish adds a key to the key set, whatever is in it.
func (s *Issuer) Publish(kid string, key any, algorithm jose.SignatureAlgorithm) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = append(s.keys, jose.JSONWebKey{Key: key, KeyID: kid, Algorithm: string(algorithm), Use: "sig"})
}

// RemoveKey takes a key out of the key set; it still signs.
func (s *Issuer) RemoveKey(kid string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var left []jose.JSONWebKey
	for _, k := range s.keys {
		if k.KeyID != kid {
			left = append(left, k)
		}
	}
	s.keys = left
}

// KeySet is the key set as it is served, for a file.
func (s *Issuer) KeySet() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	text, err := json.Marshal(jose.JSONWebKeySet{Keys: s.keys})
	must(s.t, err)
	return text
}

// Token signs the claims with the key "rsa".
func (s *Issuer) Token(claims map[string]any) string { return s.Sign("rsa", claims, nil) }

// Sign signs claims with the key of that name. header holds further members of
// the token's header.
func (s *Issuer) Sign(kid string, claims any, header map[string]any) string {
	s.t.Helper()
	s.mu.Lock()
	with := s.signers[kid]
	s.mu.Unlock()
	options := (&jose.SignerOptions{}).WithHeader("kid", kid).WithType("JWT")
	for name, value := range header {
		options.WithHeader(jose.HeaderKey(name), value)
	}
	return Sign(s.t, with.algorithm, with.key, claims, options)
}

// Sign makes a token of any kind. Claims that are text are signed as they stand.
func Sign(t testing.TB, algorithm jose.SignatureAlgorithm, key any, claims any, options *jose.SignerOptions) string {
	t.Helper()
	payload, raw := claims.(string)
	if !raw {
		text, err := json.Marshal(claims)
		must(t, err)
		payload = string(text)
	}
	made, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, options)
	must(t, err)
	object, err := made.Sign([]byte(payload))
	must(t, err)
	token, err := object.CompactSerialize()
	must(t, err)
	return token
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
