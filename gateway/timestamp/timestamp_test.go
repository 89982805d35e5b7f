package timestamp_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/certificate"
	"github.com/hsmgate/hsmgate/gateway/timestamp"
)

// authority is one with a key in memory.
type authority struct {
	timestamp.Authority
	key crypto.Signer
	// at is the time that it states. Zero is now.
	at time.Time
	// change, if not nil, is what it does to a request before it answers it.
	change func(*timestamp.Request)
}

func newAuthority(t testing.TB, profile certificate.Profile) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	der, err := certificate.SelfSigned(key, pkix.Name{CommonName: "authority"}, certificate.Names{}, certificate.Terms{Profile: profile, From: now.Add(-time.Hour), Until: now.Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	own, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{Authority: timestamp.Authority{Certificates: []*x509.Certificate{own}, Policy: asn1.ObjectIdentifier{1, 2, 3}}, key: key}
}

// ServeHTTP answers a request.
func (a *authority) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	query, err := io.ReadAll(r.Body)
	if err != nil {
		panic(err)
	}
	request, err := a.Accept(query)
	var refusal *timestamp.Refusal
	var reply []byte
	switch {
	case errors.As(err, &refusal):
		reply, err = refusal.Reply()
	case err == nil:
		if a.change != nil {
			a.change(request)
		}
		at := a.at
		if at.IsZero() {
			at = time.Now()
		}
		var token []byte
		if token, err = a.Token(a.key, crypto.SHA256, request, at); err == nil {
			reply, err = timestamp.Reply(token)
		}
	}
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", timestamp.ReplyType)
	_, _ = w.Write(reply)
}

func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// TestClientTakesNoBadAnswer: each answer that is not good is refused with its reason, and the next authority is asked.
func TestClientTakesNoBadAnswer(t *testing.T) {
	t.Parallel()
	sum := sha256.Sum256([]byte("what is released"))
	good := newAuthority(t, certificate.Timestamping)
	roots := x509.NewCertPool()
	roots.AddCert(good.Certificates[0])
	changed := func(change func(*timestamp.Request)) *authority {
		a := *good
		a.change = change
		return &a
	}
	late := *good
	late.at = time.Now().Add(2 * time.Hour)
	for says, h := range map[string]http.Handler{
		"nonce":                       changed(func(r *timestamp.Request) { r.Nonce = big.NewInt(1) }),
		"its nonce is not":            changed(func(r *timestamp.Request) { r.Nonce = nil }),
		"another digest":              changed(func(r *timestamp.Request) { r.Imprint.Digest = bytes.Repeat([]byte{1}, 32) }),
		"certificate of its signer":   changed(func(r *timestamp.Request) { r.CertReq = false }),
		"is not trusted":              newAuthority(t, certificate.Timestamping),
		"timeStamping, alone":         newAuthority(t, certificate.CodeSigning),
		"at which the certificate of": &late,
		"502 Bad Gateway":             http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }),
		"no time-stamp response":      http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }),
		"longer than": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			for range timestamp.MaxReply/1024 + 1 {
				_, _ = w.Write(make([]byte, 1024))
			}
		}),
		"deadline exceeded": http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // so that the server sees the client go
			<-r.Context().Done()
		}),
	} {
		t.Run(says, func(t *testing.T) {
			t.Parallel()
			bad := serve(t, h)
			c := &timestamp.Client{URLs: []string{bad}, Roots: roots}
			if says == "deadline exceeded" {
				c.Wait = 50 * time.Millisecond
			}
			if _, err := c.Token(t.Context(), crypto.SHA256, sum[:]); err == nil || !strings.Contains(err.Error(), says) {
				t.Error(err)
			}
			c.URLs, c.Wait = append(c.URLs, serve(t, good)), time.Minute
			if says == "deadline exceeded" {
				return // the first one would have its minute
			}
			token, err := c.Token(t.Context(), crypto.SHA256, sum[:])
			if err != nil {
				t.Fatal(err)
			}
			if _, err := timestamp.Check(token, crypto.SHA256, sum[:], nil, roots); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestChangedTokenIsNotGood: no bit of a token can be changed so that it states another time, digest, or signer; what is not
// signed are the certificates that come with it.
func TestChangedTokenIsNotGood(t *testing.T) {
	t.Parallel()
	sum := sha256.Sum256([]byte("what is released"))
	a := newAuthority(t, certificate.Timestamping)
	roots := x509.NewCertPool()
	roots.AddCert(a.Certificates[0])
	token, err := (&timestamp.Client{URLs: []string{serve(t, a)}}).Token(t.Context(), crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	want, err := timestamp.Check(token, crypto.SHA256, sum[:], nil, roots)
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	for i := range len(token) * 8 {
		changed := bytes.Clone(token)
		changed[i/8] ^= 1 << (i % 8)
		got, err := timestamp.Check(changed, crypto.SHA256, sum[:], nil, roots)
		if err != nil {
			refused++
			continue
		}
		if !got.Time.Equal(want.Time) || got.Serial.Cmp(want.Serial) != 0 || !got.Policy.Equal(want.Policy) {
			t.Errorf("bit %d: %+v", i, got)
		}
	}
	if refused < len(token)*6 {
		t.Errorf("%d of %d changes are refused", refused, len(token)*8)
	}
}

// TestCertificatesOfAnAuthority: usages, the signatures of issuers and the time are looked at.
func TestCertificatesOfAnAuthority(t *testing.T) {
	t.Parallel()
	good, ca, other := newAuthority(t, certificate.Timestamping), newAuthority(t, certificate.CA), newAuthority(t, certificate.CA)
	request, err := certificate.Request(good.key, pkix.Name{CommonName: "stamps"}, certificate.Names{})
	if err != nil {
		t.Fatal(err)
	}
	asked, err := x509.ParseCertificateRequest(request)
	if err != nil {
		t.Fatal(err)
	}
	root := ca.Certificates[0]
	der, err := certificate.Issue(ca.key, root, asked, nil, certificate.Terms{Profile: certificate.Timestamping, From: root.NotBefore, Until: root.NotAfter})
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	encipher := *leaf
	encipher.KeyUsage = x509.KeyUsageKeyEncipherment
	for says, chain := range map[string][]*x509.Certificate{
		"":                        {leaf, root},
		"alone and critical":      newAuthority(t, certificate.CodeSigning).Certificates,
		"does not allow":          {&encipher, root},
		"has issued none":         {leaf, other.Certificates[0]}, // of the same name, by another key
		"has issued none of the":  {leaf, root, leaf},
		"authority has issued no": {good.Certificates[0], root},
	} {
		err := (&timestamp.Authority{Certificates: chain}).Check()
		if says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
			t.Errorf("%q: %v", says, err)
		}
	}
	a := timestamp.Authority{Certificates: []*x509.Certificate{leaf, root}}
	for at, valid := range map[time.Time]bool{
		leaf.NotBefore: true, leaf.NotAfter: true, leaf.NotBefore.Add(-time.Millisecond): false, leaf.NotAfter.Add(time.Millisecond): false,
	} {
		var refusal *timestamp.Refusal
		if err := a.Valid(at); valid != (err == nil) || !valid && (!errors.As(err, &refusal) || refusal.Failure != timestamp.SystemFailure) {
			t.Errorf("%s: %v", at, err)
		}
	}
}

// TestTimeToTheMillisecond: what a token states is the time, with no zero at the end of its fraction (RFC 3161, 2.4.2).
func TestTimeToTheMillisecond(t *testing.T) {
	t.Parallel()
	a := newAuthority(t, certificate.Timestamping)
	sum := sha256.Sum256([]byte("what is released"))
	second := time.Now().UTC().Truncate(time.Second)
	for fraction, text := range map[time.Duration]string{
		0: "", 999 * time.Microsecond: "", time.Millisecond: ".001", 120 * time.Millisecond: ".12", 500*time.Millisecond + 1: ".5", time.Second - 1: ".999",
	} {
		a.at = second.Add(fraction)
		token, err := (&timestamp.Client{URLs: []string{serve(t, a)}}).Token(t.Context(), crypto.SHA256, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		if want := second.Format("20060102150405") + text + "Z"; !bytes.Contains(token, []byte(want)) {
			t.Errorf("%s: the token does not hold %s", fraction, want)
		}
		checked, err := timestamp.Check(token, crypto.SHA256, sum[:], nil, nil)
		if err != nil || !checked.Time.Equal(a.at.Truncate(timestamp.Precision)) {
			t.Errorf("%s: %v, %v", fraction, checked, err)
		}
	}
}

// TestNoParametersButNull: what a token repeats of a request is bounded.
func TestNoParametersButNull(t *testing.T) {
	t.Parallel()
	a := newAuthority(t, certificate.Timestamping)
	junk := append([]byte{0x30, 0x82, 0x20, 0}, make([]byte, 0x2000)...)
	for _, x := range []struct {
		parameters asn1.RawValue
		good       bool
	}{
		{asn1.RawValue{}, true}, {asn1.NullRawValue, true},
		{asn1.RawValue{FullBytes: []byte{5, 1, 0}}, false}, {asn1.RawValue{FullBytes: []byte{0x30, 0}}, false}, {asn1.RawValue{FullBytes: junk}, false},
	} {
		r := timestamp.Request{Version: 1, CertReq: true}
		r.Imprint.Hash.Algorithm, r.Imprint.Hash.Parameters = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}, x.parameters
		r.Imprint.Digest = make([]byte, 32)
		query, err := asn1.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		_, err = a.Accept(query)
		var refusal *timestamp.Refusal
		if x.good && err != nil || !x.good && (!errors.As(err, &refusal) || refusal.Failure != timestamp.BadDataFormat) {
			t.Errorf("%.8x: %v", x.parameters.FullBytes, err)
		}
	}
}

// FuzzAccept finds no request that is more than refused, or answered by a token over its digest.
func FuzzAccept(f *testing.F) {
	a := newAuthority(f, certificate.Timestamping)
	f.Add([]byte{0x30, 0})
	f.Fuzz(func(t *testing.T, query []byte) {
		request, err := a.Accept(query)
		var refusal *timestamp.Refusal
		if err != nil && !errors.As(err, &refusal) {
			t.Fatal(err)
		}
		if err != nil {
			return
		}
		token, err := a.Token(a.key, crypto.SHA256, request, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := timestamp.Check(token, request.Hash(), request.Digest(), a.Certificates, nil); err != nil {
			t.Error(err)
		}
	})
}
