package identity

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"go.uber.org/zap"

	"github.com/hsmgate/hsmgate/gateway/identity/identitytest"
)

// asks says what becomes of a good token of that key at that time.
func asks(t *testing.T, i *Identities, s *identitytest.Issuer) func(kid string, at time.Time) error {
	return func(kid string, at time.Time) error {
		_, err := i.WebPrincipal(t.Context(), s.Sign(kid, identitytest.GitHub(s.URL, audience, repository, tag, at), nil), at)
		return err
	}
}

// TestKeysAreFetchedAtAPace: a new key is found, and a flood of unknown ones is
// not handed on to the provider.
func TestKeysAreFetchedAtAPace(t *testing.T) {
	t.Parallel()
	s := identitytest.NewIssuer(t)
	i := trusting(t, github(s))
	ask := asks(t, i, s)
	ok(t, ask("rsa", now)) // the keys were not there
	equal(t, s.Asked.Load(), 1)
	s.AddKey("new", jose.RS256)
	is(t, ask("new", now.Add(keysPace-time.Second)), ErrToken)
	equal(t, s.Asked.Load(), 1)
	ok(t, ask("new", now.Add(keysPace)))
	equal(t, s.Asked.Load(), 2)

	s.AddHiddenKey("hidden", jose.RS256)
	token := s.Sign("hidden", identitytest.GitHub(s.URL, audience, repository, tag, now), nil)
	later := now.Add(3 * keysPace)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if _, err := i.WebPrincipal(t.Context(), token, later); !errors.Is(err, ErrToken) {
				t.Errorf("error %v", err)
			}
		})
	}
	all.Wait()
	equal(t, s.Asked.Load(), 3)
}

// TestProviderAway: its keys are kept for a while, and no longer.
func TestProviderAway(t *testing.T) {
	t.Parallel()
	s := identitytest.NewIssuer(t)
	i := trusting(t, github(s))
	ask := asks(t, i, s)
	ok(t, ask("rsa", now))
	s.Close()
	ok(t, ask("rsa", now.Add(keysKept)))
	is(t, ask("ec", now.Add(keysKept)), ErrToken)
	err := ask("rsa", now.Add(keysKept+time.Second))
	is(t, err, ErrUnreachable)
	if errors.Is(err, ErrToken) {
		t.Error("the token is said to be at fault")
	}
}

// TestKeyTakenBack: the next fetch, which watch does every keysEvery, ends its use.
func TestKeyTakenBack(t *testing.T) {
	t.Parallel()
	s := identitytest.NewIssuer(t)
	i := trusting(t, github(s))
	token := s.Token(identitytest.GitHub(s.URL, audience, repository, tag, now))
	ask := func(at time.Time) error {
		_, err := i.WebPrincipal(t.Context(), token, at)
		return err
	}
	ok(t, ask(now))
	ok(t, ask(now)) // as it is remembered
	s.RemoveKey("rsa")
	keys := i.providers[0].keys.(*fetchedKeys)
	keys.refresh(t.Context(), now.Add(keysEvery), keysPace)
	is(t, ask(now.Add(keysEvery)), ErrToken)
}

// TestRemembered: what is kept is bounded.
func TestRemembered(t *testing.T) {
	t.Parallel()
	var r remembered[int]
	for n := range 3 * maxRemembered {
		r.put([32]byte{byte(n), byte(n >> 8)}, n)
		if got, known := r.get([32]byte{byte(n), byte(n >> 8)}); !known || got != n || len(r.of) > maxRemembered {
			t.Fatalf("%d: %d, %v; %d are kept", n, got, known, len(r.of))
		}
	}
	if _, known := r.get([32]byte{}); known {
		t.Error("the first is there still")
	}
}

// TestWatch: the keys are there before the first token.
func TestWatch(t *testing.T) {
	t.Parallel()
	s := identitytest.NewIssuer(t)
	i := trusting(t, github(s))
	i.Watch(t.Context())
	keys := i.providers[0].keys.(*fetchedKeys)
	for keys.known(time.Now()) == nil {
		time.Sleep(time.Millisecond)
	}
	ok(t, asks(t, i, s)("rsa", time.Now()))
	equal(t, s.Asked.Load(), 1)
}

// TestBadAnswers: none of them makes a key, nor takes away those that are there.
func TestBadAnswers(t *testing.T) {
	t.Parallel()
	elsewhere := identitytest.NewIssuer(t)
	for name, answer := range map[string]http.HandlerFunc{
		"error":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"no JSON": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") },
		"no keys": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"keys":[]}`) },
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+"/jwks", http.StatusFound)
		},
		"huge": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(append(elsewhere.KeySet(), bytes.Repeat([]byte(" "), maxDocument)...))
		},
		"huge, slow": func(w http.ResponseWriter, r *http.Request) { endless(w, r) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := identitytest.NewIssuer(t)
			p := github(s)
			p.JWKSURL = s.URL + "/jwks"
			i := trusting(t, p)
			ask := asks(t, i, s)
			s.Answer(answer)
			is(t, ask("rsa", now), ErrUnreachable)
			s.Answer(nil)
			ok(t, ask("rsa", now.Add(keysPace)))
			s.Answer(answer)
			i.providers[0].keys.(*fetchedKeys).refresh(t.Context(), now.Add(keysEvery), keysPace)
			ok(t, ask("rsa", now.Add(keysEvery)))
		})
	}
	equal(t, elsewhere.Asked.Load(), 0)
}

// endless writes until the reader has gone.
func endless(w http.ResponseWriter, r *http.Request) {
	for r.Context().Err() == nil {
		if _, err := w.Write(make([]byte, 64<<10)); err != nil {
			return
		}
	}
}

// TestSilentProvider: a caller who gives up is let go, while the provider says nothing.
func TestSilentProvider(t *testing.T) {
	t.Parallel()
	s := identitytest.NewIssuer(t)
	asked, release := make(chan struct{}, 1), make(chan struct{})
	defer close(release)
	s.Answer(func(http.ResponseWriter, *http.Request) {
		asked <- struct{}{}
		<-release
	})
	i := trusting(t, github(s))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := i.WebPrincipal(ctx, s.Token(identitytest.GitHub(s.URL, audience, repository, tag, now)), now)
		done <- err
	}()
	<-asked
	cancel()
	is(t, <-done, ErrUnreachable)
}

// TestDiscovery: the issuer's document has to be its own, and name a safe place.
func TestDiscovery(t *testing.T) {
	t.Parallel()
	s := identitytest.NewTLSIssuer(t)
	i := trusting(t, github(s))
	ok(t, asks(t, i, s)("rsa", now))

	p := github(s)
	p.CAFile = ""
	strict := trusting(t, p) // the machine's CAs do not know the issuer's
	is(t, asks(t, strict, s)("rsa", now), ErrUnreachable)

	client, err := newFetchClient(s.CAFile)
	ok(t, err)
	for document, why := range map[string]string{
		`{"issuer":"https://other.example.com","jwks_uri":"` + s.URL + `/jwks"}`:     "of the issuer",
		`{"issuer":"` + s.URL + `","jwks_uri":"http://127.0.0.1/jwks"}`:              "not https",
		`{"issuer":"` + s.URL + `","jwks_uri":"https://user:pw@issuer.example.com"}`: "not a URL",
		`{"issuer":"` + s.URL + `"}`: "not https",
		`[]`:                         "cannot unmarshal",
	} {
		s.Answer(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, document) })
		if where, err := discover(t.Context(), client, s.URL); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %q, %v", document, where, err)
		}
	}
}

// TestKeysOfAFile: a change is seen at the next token; a file that is broken
// changes nothing.
func TestKeysOfAFile(t *testing.T) {
	t.Parallel()
	s := identitytest.NewIssuer(t)
	p := github(s)
	p.JWKSFile = writeFile(t, "jwks.json", s.KeySet())
	i := trusting(t, p)
	ask := asks(t, i, s)
	ok(t, ask("rsa", now))
	s.AddKey("new", jose.RS256)
	is(t, ask("new", now), ErrToken)
	ok(t, os.WriteFile(p.JWKSFile, s.KeySet(), 0o600))
	ok(t, ask("new", now))
	s.RemoveKey("rsa")
	ok(t, os.WriteFile(p.JWKSFile, []byte("{"), 0o600))
	ok(t, ask("rsa", now))
	ok(t, os.WriteFile(p.JWKSFile, s.KeySet(), 0o600))
	is(t, ask("rsa", now), ErrToken)
	ok(t, os.Remove(p.JWKSFile))
	ok(t, ask("new", now))
	equal(t, s.Asked.Load(), 0)

	for _, text := range []string{"", "{", `{"keys":[]}`, `{"keys":[{"kty":"oct","kid":"a","k":"aaaa"}]}`} {
		p.JWKSFile = writeFile(t, "jwks.json", []byte(text))
		if err := withRole(t).TrustProviders([]Provider{p}, zap.NewNop()); err == nil {
			t.Errorf("%q is a key set", text)
		}
	}
}

// TestUnusableKeys: they are left out, and the others stay.
func TestUnusableKeys(t *testing.T) {
	t.Parallel()
	s := identitytest.NewIssuer(t)
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	ok(t, err)
	s.Publish("small", small.Public(), jose.RS256)
	s.Publish("private", s.Private("rsa"), jose.RS256)
	s.Publish("", s.Public("rsa"), jose.RS256)
	text := strings.Replace(string(s.KeySet()), `{"keys":[`, `{"keys":[{"kty":"OKP","crv":"Ed448","kid":"new","x":"AAAA"},{"kty":"RSA","kid":"enc","use":"enc","n":"AQAB","e":"AQAB"},7,`, 1)
	keys, err := parseKeySet([]byte(text))
	ok(t, err)
	equal(t, len(keys), 2)
	for _, kid := range []string{"rsa", "ec"} {
		_, err = keys.find(kid)
		ok(t, err)
	}
}
