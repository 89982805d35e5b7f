package identity

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"
)

// revocationLists are those of several CAs, each of which may have several.
type revocationLists []*revocationList

// revocationList is a CRL (RFC 5280, section 5).
type revocationList struct {
	*x509.RevocationList
	serials map[string]bool
	signed  sync.Map // *x509.Certificate of a CA -> error: whether the list is signed by it
}

func parseRevocationLists(text []byte) (revocationLists, error) {
	if block, _ := pem.Decode(text); block == nil {
		one, err := parseRevocationList(text)
		return revocationLists{one}, err
	}
	var all revocationLists
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "X509 CRL" {
			return nil, fmt.Errorf("a PEM block of type %q: X509 CRL is asked for", block.Type)
		}
		one, err := parseRevocationList(block.Bytes)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

// parseRevocationList refuses a list that is not the whole truth about its CA: a
// critical extension makes it a delta, one of some certificates only, or of
// another CA's.
func parseRevocationList(der []byte) (*revocationList, error) {
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		return nil, err
	}
	critical := func(e pkix.Extension) bool { return e.Critical }
	if slices.ContainsFunc(list.Extensions, critical) {
		return nil, fmt.Errorf("the list of %s has a critical extension: a complete list is asked for", list.Issuer)
	}
	if list.NextUpdate.IsZero() {
		return nil, fmt.Errorf("the list of %s does not say when the next one comes", list.Issuer)
	}
	made := &revocationList{RevocationList: list, serials: make(map[string]bool, len(list.RevokedCertificateEntries))}
	for _, entry := range list.RevokedCertificateEntries {
		if slices.ContainsFunc(entry.Extensions, critical) {
			return nil, fmt.Errorf("the list of %s has a critical extension at serial %x: a complete list is asked for", list.Issuer, entry.SerialNumber)
		}
		made.serials[entry.SerialNumber.String()] = true
	}
	return made, nil
}

// CheckRevocation reads a file of revocation lists and says until when all of them
// are good.
func CheckRevocation(path string) (until time.Time, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return until, err
	}
	lists, err := parseRevocationLists(text)
	if err != nil {
		return until, err
	}
	for _, list := range lists {
		if until.IsZero() || list.NextUpdate.Before(until) {
			until = list.NextUpdate
		}
	}
	return until, nil
}

// check fails where a certificate is revoked, and where that cannot be told.
func (all revocationLists) check(leaf, ca *x509.Certificate, now time.Time) error {
	var newest *revocationList
	for _, list := range all {
		if bytes.Equal(list.RawIssuer, ca.RawSubject) && list.signedBy(ca) == nil && (newest == nil || list.ThisUpdate.After(newest.ThisUpdate)) {
			newest = list
		}
	}
	switch {
	case newest == nil:
		return fmt.Errorf("crl_file has no list that is signed by %s", ca.Subject)
	case now.After(newest.NextUpdate):
		return fmt.Errorf("the revocation list of %s is stale since %s: all its certificates are refused", ca.Subject, newest.NextUpdate.UTC().Format(time.RFC3339))
	case now.Before(newest.ThisUpdate.Add(-skew)):
		return fmt.Errorf("the revocation list of %s is of the future", ca.Subject)
	case newest.serials[leaf.SerialNumber.String()]:
		return errors.New("it is revoked")
	}
	return nil
}

// signedBy checks the signature once for each CA as it stands in ca_file.
func (l *revocationList) signedBy(ca *x509.Certificate) error {
	if known, ok := l.signed.Load(ca); ok {
		err, _ := known.(error)
		return err
	}
	err := l.CheckSignatureFrom(ca)
	l.signed.Store(ca, err)
	return err
}
