package awskms

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/policy"
)

// The reasons why a call is not authenticated, as they are counted and logged.
const (
	reasonBody         = "body"              // not read: too large, or cut short
	reasonMissing      = "missing"           // no Authorization header
	reasonMalformed    = "malformed"         // a header that cannot be used
	reasonScope        = "scope"             // made for another region, service or day
	reasonClock        = "clock"             // too old, or from the future
	reasonSessionToken = "session_token"     // forged, ended, or of another access key
	reasonExpiredToken = "expired_token"     //
	reasonWebIdentity  = "web_identity"      // a token of an identity provider that proves nothing
	reasonUnknownKey   = "unknown_key"       // no such access key
	reasonDisabledKey  = "disabled_key"      // nor may it be used now
	reasonExpiredKey   = "expired_key"       //
	reasonCertificate  = "certificate"       // the client's, which is no longer good
	reasonSignature    = "wrong_signature"   // the secret or what was signed is another
	reasonStore        = "unreadable_secret" // a fault of the gateway
)

// maxSkew is how far the date of a request may be from the gateway's clock.
const maxSkew = 5 * time.Minute

// dateFormat is ISO 8601 basic format, the only one that SigV4 knows.
const dateFormat = "20060102T150405Z"

// refusal is why a call is not authenticated.
type refusal struct {
	*api.Error
	reason    string
	accessKey string // as the caller named it, once it could be read
}

func refuse(reason string, code api.Code, text string) *refusal {
	return &refusal{reason: reason, Error: &api.Error{Code: code, Message: text}}
}

func newDecoySecret() string {
	return rand.Text() + rand.Text()[:14] // 40 characters, as a real one has
}

// authenticate finds the principal that signed a request to a service of AWS, and the
// region that it is signed for.
func (h *handler) authenticate(r *http.Request, body []byte, service string) (policy.Principal, authorization, *refusal) {
	switch {
	case r.URL.RawQuery != "" && strings.Contains(r.URL.RawQuery, "X-Amz-") && len(r.Header["Authorization"]) > 0:
		return policy.Principal{}, authorization{}, refuse(reasonMalformed, api.InvalidSignature, "A request is signed in its query string or in its Authorization header, not in both. This gateway accepts the header.")
	case r.URL.RawQuery != "":
		return policy.Principal{}, authorization{}, refuse(reasonMalformed, api.IncompleteSignature, "This gateway takes no query string and no presigned URL: sign the request in its Authorization header.")
	}
	return h.verify(r, body, service)
}

// verify is authenticate for a request with any path and query.
func (h *handler) verify(r *http.Request, body []byte, service string) (policy.Principal, authorization, *refusal) {
	sum := sha256.Sum256(body)
	return h.verifyHash(r, hex.EncodeToString(sum[:]), int64(len(body)), service)
}

// verifyHash is verify for a body of which only the hash is looked at.
func (h *handler) verifyHash(r *http.Request, bodyHash string, bodyLength int64, service string) (p policy.Principal, a authorization, refused *refusal) {
	now := h.Now()
	a, at, refused := h.checkHeader(r, service, now)
	if refused == nil {
		p, refused = h.checkSignature(r, a, at, now, bodyHash, bodyLength)
	}
	if refused == nil {
		refused = h.describe(&p, r, now)
	}
	if refused != nil {
		refused.accessKey = a.accessKey
		return policy.Principal{}, a, refused
	}
	return p, a, nil
}

// checkHeader checks everything that can be told without the secret and the body.
func (h *handler) checkHeader(r *http.Request, service string, now time.Time) (a authorization, at time.Time, refused *refusal) {
	if a, refused = readAuthorization(r); refused != nil {
		return a, at, refused
	}
	if _, err := url.ParseQuery(r.URL.RawQuery); err != nil { // what does not parse would not be part of what is signed
		return a, at, refuse(reasonMalformed, api.IncompleteSignature, "The query string cannot be read: it is name=value&name=value, percent-encoded.")
	}
	at, refused = h.checkRequest(r, a, service, now)
	return a, at, refused
}

// describe lets conditions ask for the client certificate of a connection, which
// alone authenticates nobody here. One that is no longer good ends its calls.
func (h *handler) describe(p *policy.Principal, r *http.Request, now time.Time) *refusal {
	certificate, err := h.Identities.Certificate(r.TLS, now)
	if err != nil {
		refused := refuse(reasonCertificate, api.UnrecognizedClient, "The client certificate is not valid here.")
		refused.Cause = err
		return refused
	}
	certificate.Describe(p)
	return nil
}

// readAuthorization takes the signature out of a request.
func readAuthorization(r *http.Request) (authorization, *refusal) {
	values := r.Header["Authorization"]
	if len(values) == 0 || values[0] == "" {
		return authorization{}, refuse(reasonMissing, api.MissingAuthentication, "Missing Authentication Token")
	}
	for _, name := range onceHeaders {
		if len(r.Header[name]) > 1 {
			return authorization{}, refuse(reasonMalformed, api.IncompleteSignature, "Header '"+name+"' stands in the request more than once.")
		}
	}
	hasDate := r.Header.Get("X-Amz-Date") != "" || r.Header.Get("Date") != ""
	a, err := parseAuthorization(values[0], hasDate)
	if err != nil {
		return a, &refusal{reason: reasonMalformed, Error: err}
	}
	return a, nil
}

// onceHeaders decide something, so there must be one way only to read them.
var onceHeaders = []string{
	"Authorization", "Content-Type", "Date", "Hsmgate-Region", "Idempotency-Key", contentHash, "X-Amz-Date", "X-Amz-Security-Token", "X-Amz-Target",
}

// checkRequest checks everything that can be told without the secret, and
// returns the date at which the request was signed.
func (h *handler) checkRequest(r *http.Request, a authorization, service string, now time.Time) (time.Time, *refusal) {
	date := r.Header.Get("X-Amz-Date")
	at, err := time.Parse(dateFormat, date)
	invalid := func(reason, text string) (time.Time, *refusal) { return at, refuse(reason, api.InvalidSignature, text) }
	switch {
	case date == "":
		return at, refuse(reasonMalformed, api.IncompleteSignature, "This gateway wants the date of a request in a signed 'X-Amz-Date' header; 'Date' alone does not do.")
	case err != nil || at.Format(dateFormat) != date: // time.Parse takes fractions of a second, too
		return at, refuse(reasonMalformed, api.IncompleteSignature, "Date must be in ISO-8601 'basic format' in header 'X-Amz-Date', as in "+dateFormat+". See http://en.wikipedia.org/wiki/ISO_8601")
	case a.terminator != terminator:
		return invalid(reasonScope, "Credential should be scoped with a valid terminator: 'aws4_request', not '"+cut(a.terminator, 100)+"'.")
	case a.service != service:
		return invalid(reasonScope, "Credential should be scoped to correct service: '"+service+"'. ")
	case !slices.Contains(h.Regions, a.region) && (service != stsService || a.region != stsRegion):
		return invalid(reasonScope, "Credential should be scoped to a valid Region, not '"+cut(a.region, 100)+"'. ")
	case a.date != date[:8]:
		return invalid(reasonScope, "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '"+cut(a.date, 100)+"' != '"+date[:8]+"', from '"+date+"'.")
	}
	if refused := checkClock(at, now); refused != nil {
		return at, refused
	}
	return at, h.checkCovered(r, a)
}

// checkClock refuses a signature that is too old or not yet good.
func checkClock(at, now time.Time) *refusal {
	now = now.UTC().Truncate(time.Second)
	switch {
	case at.Before(now.Add(-maxSkew)):
		return refuse(reasonClock, api.InvalidSignature, "Signature expired: "+at.Format(dateFormat)+" is now earlier than "+
			now.Add(-maxSkew).Format(dateFormat)+" ("+now.Format(dateFormat)+" - 5 min.)")
	case at.After(now.Add(maxSkew)):
		return refuse(reasonClock, api.InvalidSignature, "Signature not yet current: "+at.Format(dateFormat)+" is still later than "+
			now.Add(maxSkew).Format(dateFormat)+" ("+now.Format(dateFormat)+" + 5 min.)")
	}
	return nil
}

// checkCovered asks for a signature over everything that decides what is done.
// X-Amz-Date is part of what is signed in any case; the SDK's signer, which
// makes the signature to compare with, always lists it.
func (h *handler) checkCovered(r *http.Request, a authorization) *refusal {
	for _, name := range append([]string{"host", "x-amz-date", "x-amz-security-token", "x-amz-target"}, h.covered...) {
		if name != "host" && name != "x-amz-date" && r.Header[textproto.CanonicalMIMEHeaderKey(name)] == nil {
			continue
		}
		if _, signed := slices.BinarySearch(a.signedHeaders, name); !signed {
			return refuse(reasonMalformed, api.InvalidSignature, "'"+textproto.CanonicalMIMEHeaderKey(name)+"' must be a 'SignedHeader' in the AWS Authorization.")
		}
	}
	return nil
}

// checkSignature computes the signature with the secret that the gateway has
// and compares. An unknown access key costs the same, with a secret that no
// one has.
func (h *handler) checkSignature(r *http.Request, a authorization, at, now time.Time, bodyHash string, bodyLength int64) (policy.Principal, *refusal) {
	secret, p, err := h.secret(r, a, now)
	if err != nil {
		secret = h.decoySecret
	}
	want := signature(r, a, at, secret, bodyHash, bodyLength)
	same := want != "" && subtle.ConstantTimeCompare([]byte(want), []byte(a.signature)) == 1
	claimed := r.Header.Get(contentHash)
	switch {
	case err != nil:
		return p, unusableKey(err, r.Header.Get(sessionHeader) != "")
	case claimed != "" && claimed != bodyHash:
		return p, otherBody()
	case !same:
		return p, refuse(reasonSignature, api.InvalidSignature, "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.")
	}
	return p, nil
}

// signature signs, with the SDK's own signer, a request that has exactly the
// signed headers of r, and returns the signature; "" when r lacks one of them.
//
// The signer is made anew each time: the one of the SDK keeps derived keys by
// the id of the access key, without regard to the secret, so the decoy's could
// be taken for the one of a key that is enabled later.
func signature(r *http.Request, a authorization, at time.Time, secret, bodyHash string, bodyLength int64) string {
	signed := http.Request{Method: r.Method, Host: r.Host, URL: &url.URL{Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery}, Header: make(http.Header, len(a.signedHeaders)+2)}
	complete := true
	for _, name := range a.signedHeaders {
		switch name {
		case "host", "x-amz-date": // the signer lists them by itself
		case "content-length":
			signed.ContentLength = bodyLength
		default:
			values := r.Header[textproto.CanonicalMIMEHeaderKey(name)]
			complete = complete && len(values) > 0
			// In lower case, since the signer leaves out "User-Agent" and
			// some others by that spelling.
			signed.Header[name] = values
		}
	}
	credentials := aws.Credentials{AccessKeyID: a.accessKey, SecretAccessKey: secret}
	if err := v4.NewSigner().SignHTTP(context.Background(), credentials, &signed, bodyHash, a.service, a.region, at); err != nil || !complete {
		return ""
	}
	_, made, _ := strings.Cut(signed.Header.Get("Authorization"), "Signature=")
	return made
}
