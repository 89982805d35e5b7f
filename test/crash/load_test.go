package crash

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/test/bench/daemon"
)

// key is a signing key that a CreateKey answered.
type key struct {
	id        string
	algorithm api.SigningAlgorithm
	public    any // *ecdsa.PublicKey or ed25519.PublicKey
}

func (k key) good(message, signature []byte) bool {
	switch public := k.public.(type) {
	case *ecdsa.PublicKey:
		sum := sha256.Sum256(message)
		return ecdsa.VerifyASN1(public, sum[:], signature)
	case ed25519.PublicKey:
		return ed25519.Verify(public, message, signature)
	}
	return false
}

// newKey makes a key and fetches its public key.
func newKey(p *daemon.Process, spec api.KeySpec) (key, error) {
	var made api.CreateKeyResponse
	if err := p.Call("POST", "/v1/keys", api.CreateKeyRequest{KeySpec: spec, KeyUsage: api.SignVerify}, &made); err != nil {
		return key{}, err
	}
	return describe(p, made.KeyMetadata.KeyId)
}

// describe fetches what is to be known of a key.
func describe(p *daemon.Process, id string) (key, error) {
	var public api.GetPublicKeyResponse
	if err := p.Call("GET", "/v1/keys/"+id+"/public-key", nil, &public); err != nil {
		return key{}, err
	}
	k := key{id: id, algorithm: public.SigningAlgorithms[0]}
	if public.KeySpec == "ECC_NIST_EDWARDS25519" {
		k.algorithm = api.Ed25519SHA512
	}
	var err error
	k.public, err = x509.ParsePKIXPublicKey(public.PublicKey)
	return k, err
}

// received is a signature that a client has, and so must be in the log.
type received struct {
	receipt, keyID, signatureHash string
}

// refused is a whole answer other than 200.
type refused struct {
	status     int
	code       string
	retryAfter string
	took       time.Duration
}

// load is clients that sign as fast as they can, and what they got.
type load struct {
	p    *daemon.Process
	keys []key
	stop chan struct{}
	all  sync.WaitGroup

	good atomic.Int64 // signatures so far

	mu       sync.Mutex
	received []received
	refused  []refused
	noAnswer []error // requests that no answer came to
	wrong    []error // signatures that do not verify, and answers that are cut or make no sense
}

// startLoad lets clients sign with the keys, in turn, until end.
func startLoad(p *daemon.Process, keys []key) *load { return startClients(p, keys, clients) }

// startClients is startLoad with so many clients.
func startClients(p *daemon.Process, keys []key, count int) *load {
	l := &load{p: p, keys: keys, stop: make(chan struct{})}
	for n := range count {
		l.all.Go(func() { l.client(n) })
	}
	return l
}

// end stops the clients after their last request.
func (l *load) end() {
	close(l.stop)
	l.all.Wait()
}

func (l *load) client(n int) {
	c := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1}, Timeout: time.Minute}
	defer c.CloseIdleConnections()
	for i := n; ; i++ {
		select {
		case <-l.stop:
			return
		default:
		}
		l.sign(c, l.keys[i%len(l.keys)])
	}
}

// sign is one request, sorted by what came of it.
func (l *load) sign(c *http.Client, k key) {
	message := make([]byte, 32)
	rand.Read(message) // never fails
	begun := time.Now()
	a, err := l.p.Do(context.Background(), c, "POST", "/v1/keys/"+k.id+"/sign",
		api.SignRequest{Message: message, MessageType: api.Raw, SigningAlgorithm: k.algorithm})
	var r received
	if err == nil && a.Status == http.StatusOK {
		r, err = l.check(k, message, a)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case errors.Is(err, daemon.ErrNoAnswer):
		l.noAnswer = append(l.noAnswer, err)
	case err != nil:
		l.wrong = append(l.wrong, err)
	case a.Status == http.StatusOK:
		l.received = append(l.received, r)
		l.good.Add(1)
	default:
		var problem struct{ Code string }
		if err := json.Unmarshal(a.Body, &problem); err != nil {
			l.wrong = append(l.wrong, fmt.Errorf("status %d with %q: %w", a.Status, a.Body, err))
		}
		l.refused = append(l.refused, refused{a.Status, problem.Code, a.Header.Get("Retry-After"), time.Since(begun)})
	}
	if err != nil || a.Status != http.StatusOK {
		time.Sleep(5 * time.Millisecond) // a client that is refused does not come back at once
	}
}

func (l *load) check(k key, message []byte, a *daemon.Answer) (received, error) {
	var signed api.SignResponse
	if err := json.Unmarshal(a.Body, &signed); err != nil {
		return received{}, fmt.Errorf("%q: %w", a.Body, err)
	}
	if !k.good(message, signed.Signature) {
		return received{}, fmt.Errorf("a wrong signature for key %s (record %s)", k.id, a.Receipt)
	}
	sum := sha256.Sum256(signed.Signature)
	return received{a.Receipt, k.id, "sha256:" + hex.EncodeToString(sum[:])}, nil
}

// flows waits for so many more signatures.
func (l *load) flows(t *testing.T, more int64, limit time.Duration) {
	t.Helper()
	from := l.good.Load()
	eventually(t, limit, "signatures are made", func() error {
		if n := l.good.Load() - from; n < more {
			l.mu.Lock()
			defer l.mu.Unlock()
			return fmt.Errorf("%d of %d; %d refused, %d without an answer", n, more, len(l.refused), len(l.noAnswer))
		}
		return nil
	})
}

// mustSign signs once with each key.
func mustSign(t *testing.T, p *daemon.Process, keys []key) []received {
	t.Helper()
	l := &load{p: p}
	for _, k := range keys {
		l.sign(http.DefaultClient, k)
	}
	for _, err := range append(l.wrong, l.noAnswer...) {
		t.Error(err)
	}
	for _, r := range l.refused {
		t.Errorf("a signature is refused: %+v", r)
	}
	return l.received
}
