package identity

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/hsmgate/hsmgate/gateway/policy"
)

// certificateProvider stands in the audit log in a provider's place.
const certificateProvider = "certificate"

// ErrCertificate: a client certificate that is not accepted; it is an ErrUnknown.
// The text says why; callers are not told.
var ErrCertificate = fmt.Errorf("%w: client certificate not accepted", ErrUnknown)

// ClientCertificates says which client certificates are trusted, and the roles
// that they have.
type ClientCertificates struct {
	// CAFile holds the certificates, PEM, of every CA that issues client
	// certificates, intermediate ones too: those that a client sends are not used.
	// It is read anew when it changes.
	CAFile string `yaml:"ca_file"`
	// CRLFile holds the current revocation list of each of these CAs, PEM or DER.
	// It is read anew when it changes. Past its next update, all certificates of
	// that CA are refused, as they are without a list. Default none: nothing is
	// revoked.
	CRLFile string `yaml:"crl_file"`
	// Required refuses connections without a client certificate.
	Required bool `yaml:"required"`
	// Rules give roles. The first that fits holds. Without any, a certificate
	// authenticates nobody; conditions of policies may still ask for it.
	Rules []CertificateRule `yaml:"rules"`
}

// Configured says whether client certificates are asked for.
func (c ClientCertificates) Configured() bool { return c.CAFile != "" }

// Check names what is wrong with the settings.
func (c ClientCertificates) Check() error {
	_, err := compileCertificateRules(c.Rules)
	if !c.Configured() && (c.CRLFile != "" || c.Required || len(c.Rules) > 0) {
		err = errors.Join(err, errors.New("client_certificates: ca_file is missing"))
	}
	return err
}

// certificates is ClientCertificates, ready for use.
type certificates struct {
	cas   *watched[*x509.CertPool]
	lists *watched[revocationLists] // nil: there are none
	rules []certificateRule
	log   *zap.Logger
	known remembered[*chains]
}

// Certificate is what a client certificate that was verified says.
type Certificate struct {
	leaf    *x509.Certificate
	subject string
	sans    []string
}

// TrustCertificates has client certificates accepted. Call it before the first
// request; ServerTLS has them asked for.
func (i *Identities) TrustCertificates(c ClientCertificates, log *zap.Logger) error {
	rules, err := compileCertificateRules(c.Rules)
	if err != nil {
		return err
	}
	made := &certificates{rules: rules, log: log, cas: &watched[*x509.CertPool]{path: c.CAFile, parse: parseCAs, log: log}}
	if _, err := made.cas.get(); err != nil {
		return fmt.Errorf("client_certificates: ca_file: %w", err)
	}
	if c.CRLFile != "" {
		made.lists = &watched[revocationLists]{path: c.CRLFile, parse: parseRevocationLists, log: log}
		if _, err := made.lists.get(); err != nil {
			return fmt.Errorf("client_certificates: crl_file: %w", err)
		}
	}
	i.certificates = made
	return nil
}

// ServerTLS has a server ask clients for a certificate, and refuse one that is not
// good. A session that is resumed is held against the same, and each request on
// it again, by Certificate.
func (i *Identities) ServerTLS(config *tls.Config, required bool, now func() time.Time) {
	config.ClientAuth = tls.RequestClientCert
	if required {
		config.ClientAuth = tls.RequireAnyClientCert
	}
	config.VerifyConnection = func(state tls.ConnectionState) error {
		_, err := i.Certificate(&state, now())
		if err != nil {
			i.certificates.log.Warn("a connection is refused", zap.Error(err))
		}
		return err
	}
}

// Certificate verifies the client certificate of a connection as it is now: its
// CA, time, use and revocation. Nil where the client has sent none. ErrCertificate.
func (i *Identities) Certificate(state *tls.ConnectionState, now time.Time) (*Certificate, error) {
	if i.certificates == nil || state == nil || len(state.PeerCertificates) == 0 {
		return nil, nil
	}
	leaf := state.PeerCertificates[0]
	if err := i.certificates.verify(leaf, now); err != nil {
		return nil, fmt.Errorf("%w: subject %.200q, serial %x: %w", ErrCertificate, leaf.Subject, leaf.SerialNumber, err)
	}
	subject, err := subjectOf(leaf)
	if err != nil {
		return nil, fmt.Errorf("%w: serial %x: %w", ErrCertificate, leaf.SerialNumber, err)
	}
	return &Certificate{leaf: leaf, subject: subject.String(), sans: sansOf(leaf)}, nil
}

func (c *certificates) verify(leaf *x509.Certificate, now time.Time) error {
	roots, err := c.cas.get()
	if err != nil {
		return err
	}
	if !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth) { // the standard library takes one without any
		return errors.New("it is not for client authentication (extended key usage clientAuth)")
	}
	found, err := c.chains(leaf, roots, now)
	if err != nil {
		return err
	}
	if c.lists == nil {
		return nil
	}
	lists, err := c.lists.get()
	if err != nil {
		return err
	}
	for _, chain := range found.all {
		if len(chain) < 2 {
			return errors.New("it stands in ca_file itself")
		}
		if err := lists.check(leaf, chain[1], now); err != nil {
			return err
		}
	}
	return nil
}

// sansOf are the subject alternative names, each with its kind.
func sansOf(leaf *x509.Certificate) (all []string) {
	for _, name := range leaf.DNSNames {
		all = append(all, "dns:"+name)
	}
	for _, u := range leaf.URIs {
		all = append(all, "uri:"+u.String())
	}
	for _, address := range leaf.EmailAddresses {
		all = append(all, "email:"+address)
	}
	for _, ip := range leaf.IPAddresses {
		all = append(all, "ip:"+net.IP(ip).String())
	}
	return all
}

// CertificatePrincipal is the caller whom a certificate is of. ErrCertificate where
// no rule fits, or there is no such role.
func (i *Identities) CertificatePrincipal(c *Certificate, now time.Time) (policy.Principal, error) {
	at := slices.IndexFunc(i.certificates.rules, func(r certificateRule) bool { return r.fits(c) })
	if at < 0 {
		return policy.Principal{}, fmt.Errorf("%w: subject %.200q: no rule fits", ErrCertificate, c.subject)
	}
	role := i.certificates.rules[at].role
	p, err := i.Assume(role, Proof{
		Session:            cleanSession(fmt.Sprintf("%s@%x", c.leaf.Subject.CommonName, c.leaf.SerialNumber)),
		CertificateSubject: c.subject, CertificateSANs: c.sans, Provider: certificateProvider, Subject: c.subject, Expires: c.leaf.NotAfter,
	}, now)
	if err != nil {
		return policy.Principal{}, fmt.Errorf("%w: subject %.200q: role %s: %w", ErrCertificate, c.subject, role, err)
	}
	return p, nil
}

// Describe lets conditions ask for the certificate of a caller who was
// authenticated in another way. A nil certificate changes nothing.
func (c *Certificate) Describe(p *policy.Principal) {
	if c != nil {
		p.CertificateSubject, p.CertificateSANs = c.subject, c.sans
	}
}
