// Package certificate makes what a small certification authority of a release pipeline needs, with keys that are any
// [crypto.Signer]: requests (PKCS #10, RFC 2986), certificates and revocation lists (RFC 5280), by crypto/x509. All
// that it gives is DER.
package certificate

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
	"fmt"
	"slices"
	"time"
)

// ErrNotIssued: what is asked for is not within what the authority or the request allows.
var ErrNotIssued = errors.New("the certificate is not issued")

func notIssued(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrNotIssued, fmt.Sprintf(format, args...))
}

// Profile is what a certificate is for.
type Profile string

// The profiles.
const (
	CodeSigning  Profile = "code-signing" // extended key usage codeSigning
	Timestamping Profile = "timestamping" // timeStamping alone and critical, as RFC 3161, 2.3 asks
	CA           Profile = "ca"           // issues certificates and revocation lists
)

// Profiles are all of them.
var Profiles = []Profile{CodeSigning, Timestamping, CA}

// usage is the extended key usage of what is no CA.
var usage = map[Profile]x509.ExtKeyUsage{CodeSigning: x509.ExtKeyUsageCodeSigning, Timestamping: x509.ExtKeyUsageTimeStamping}

// Terms are what an issuer says of a certificate, beside its subject.
type Terms struct {
	Profile Profile
	From    time.Time // as Until, taken to the second
	Until   time.Time
	// PathLength is how many more authorities may stand below a CA; -1 does not say.
	PathLength int
	// CRL are the URLs at which the issuer's revocation list is.
	CRL []string
}

func (t *Terms) toTheSecond() {
	t.From, t.Until = t.From.UTC().Truncate(time.Second), t.Until.UTC().Truncate(time.Second)
}

// Request makes a certificate request, which the key signs.
func Request(key crypto.Signer, subject pkix.Name, names Names) ([]byte, error) {
	return x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: subject, DNSNames: names.DNS, EmailAddresses: names.Email, URIs: names.URI,
	}, key)
}

// SelfSigned makes a certificate that the key itself signs.
func SelfSigned(key crypto.Signer, subject pkix.Name, names Names, t Terms) ([]byte, error) {
	t.toTheSecond()
	made, err := t.template(key.Public())
	if err != nil {
		return nil, err
	}
	made.Subject, made.DNSNames, made.EmailAddresses, made.URIs = subject, names.DNS, names.Email, names.URI
	return x509.CreateCertificate(rand.Reader, made, made, key.Public(), key)
}

// Issue makes a certificate for a request, whose signature it checks, by the key of ca. Subject and names are those of
// the request, but for a subject that is given here. The error is an ErrNotIssued if the request, or ca, does not allow it.
func Issue(key crypto.Signer, ca *x509.Certificate, request *x509.CertificateRequest, subject *pkix.Name, t Terms) ([]byte, error) {
	if err := request.CheckSignature(); err != nil {
		return nil, notIssued("the request is not signed by its own key: %v", err)
	}
	if err := authority(key, ca, x509.KeyUsageCertSign); err != nil {
		return nil, err
	}
	t.toTheSecond()
	if err := t.within(ca); err != nil {
		return nil, err
	}
	made, err := t.template(request.PublicKey)
	if err != nil {
		return nil, err
	}
	made.RawSubject, made.DNSNames, made.EmailAddresses, made.URIs = request.RawSubject, request.DNSNames, request.EmailAddresses, request.URIs
	if subject != nil {
		made.RawSubject, made.Subject = nil, *subject
	}
	if subject == nil && len(request.Subject.Names) == 0 {
		return nil, notIssued("the request names no subject")
	}
	if subject == nil && bytes.Equal(request.RawSubject, ca.RawSubject) {
		return nil, notIssued("the request's subject is that of the authority itself")
	}
	if err := rehearse(made, ca, request.PublicKey, t); err != nil {
		return nil, err
	}
	return x509.CreateCertificate(rand.Reader, made, ca, request.PublicKey, key)
}

// authority says whether ca, whose key this is, may sign such things.
func authority(key crypto.Signer, ca *x509.Certificate, as x509.KeyUsage) error {
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	switch {
	case !ok || !public.Equal(ca.PublicKey):
		return notIssued("the certificate of %s is another key's", ca.Subject)
	case !ca.BasicConstraintsValid || !ca.IsCA:
		return notIssued("%s is not the certificate of an authority", ca.Subject)
	case ca.KeyUsage != 0 && ca.KeyUsage&as == 0:
		return notIssued("the key usage of %s does not allow it", ca.Subject)
	}
	return nil
}

// within says whether these terms are within those of the authority.
func (t *Terms) within(ca *x509.Certificate) error {
	switch limited := ca.MaxPathLen > 0 || ca.MaxPathLenZero; {
	case t.From.Before(ca.NotBefore):
		return notIssued("it would be valid from %s, and the authority from %s only", stamp(t.From), stamp(ca.NotBefore))
	case t.Until.After(ca.NotAfter):
		return notIssued("it would be valid until %s, and the authority until %s only", stamp(t.Until), stamp(ca.NotAfter))
	case t.Profile == CA && limited && ca.MaxPathLen == 0:
		return notIssued("the authority's path length, 0, allows no authority below it")
	case t.Profile == CA && limited && (t.PathLength < 0 || t.PathLength >= ca.MaxPathLen):
		return notIssued("the authority's path length is %d, so that of one below it is at most %d", ca.MaxPathLen, ca.MaxPathLen-1)
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// rehearse says whether what is to be issued is good below ca, by names and usages that ca is bound to. It is issued by a key
// of the moment in place of that of ca, so that ca's signs nothing that is not good.
func rehearse(made, ca *x509.Certificate, public crypto.PublicKey, t Terms) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	stand := *ca
	stand.PublicKeyAlgorithm, stand.PublicKey = x509.ECDSA, key.Public()
	der, err := x509.CreateCertificate(rand.Reader, made, &stand, public, key)
	if err != nil {
		return err
	}
	issued, err := x509.ParseCertificate(der)
	if err != nil {
		return err
	}
	return holds(issued, &stand, t)
}

// holds says whether a certificate is good below ca.
func holds(issued, ca *x509.Certificate, t Terms) error {
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	usages := []x509.ExtKeyUsage{x509.ExtKeyUsageAny}
	if t.Profile != CA {
		usages = []x509.ExtKeyUsage{usage[t.Profile]}
	}
	// Go reads the extension of a Timestamping certificate, too, so that its being critical leaves nothing unhandled.
	if _, err := issued.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: issued.NotBefore, KeyUsages: usages}); err != nil {
		return notIssued("it would not be good: %v", err)
	}
	if len(ca.ExtKeyUsage) > 0 && t.Profile != CA && !slices.Contains(ca.ExtKeyUsage, usages[0]) && !slices.Contains(ca.ExtKeyUsage, x509.ExtKeyUsageAny) {
		return notIssued("the extended key usage of %s does not allow it", ca.Subject)
	}
	return nil
}

// template is a certificate of the profile, with a serial number of crypto/x509: up to 20 random octets.
func (t *Terms) template(key crypto.PublicKey) (*x509.Certificate, error) {
	if !t.Until.After(t.From) {
		return nil, notIssued("it would end, at %s, before it begins, at %s", stamp(t.Until), stamp(t.From))
	}
	id, err := keyID(key)
	if err != nil {
		return nil, err
	}
	made := &x509.Certificate{
		NotBefore: t.From, NotAfter: t.Until,
		SubjectKeyId: id, BasicConstraintsValid: true, CRLDistributionPoints: t.CRL, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	switch t.Profile {
	case CodeSigning:
		made.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}
	case Timestamping:
		made.ExtraExtensions = []pkix.Extension{criticalTimestamping}
	case CA:
		made.IsCA, made.KeyUsage = true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign
		made.MaxPathLen, made.MaxPathLenZero = t.PathLength, t.PathLength == 0
	default:
		return nil, notIssued("there is no profile %q", t.Profile)
	}
	return made, nil
}

// criticalTimestamping is id-kp-timeStamping as the one extended key usage; crypto/x509 would make it not critical.
var criticalTimestamping = func() pkix.Extension {
	value, err := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 8}})
	if err != nil {
		panic(err) // of a constant
	}
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: value}
}()

// keyID is the SubjectKeyIdentifier: the first 160 bits of the SHA-256 of the key (RFC 7093, 2).
func keyID(key crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, err
	}
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(der, &info); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(info.Key.Bytes)
	return sum[:20], nil
}
