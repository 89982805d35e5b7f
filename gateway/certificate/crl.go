package certificate

import (
	"bufio"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"io"
	"maps"
	"math/big"
	"slices"
	"strings"
	"time"
)

// reasons of a revocation (RFC 5280, 5.3.1).
var reasons = map[string]int{
	"unspecified": 0, "keyCompromise": 1, "cACompromise": 2, "affiliationChanged": 3, "superseded": 4,
	"cessationOfOperation": 5, "certificateHold": 6, "privilegeWithdrawn": 9, "aACompromise": 10,
}

// List makes a revocation list with this number, of ca, whose key it is. Each one has a higher number than the last.
func List(key crypto.Signer, ca *x509.Certificate, revoked []x509.RevocationListEntry, number *big.Int, from, next time.Time) ([]byte, error) {
	if err := authority(key, ca, x509.KeyUsageCRLSign); err != nil {
		return nil, err
	}
	return x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		RevokedCertificateEntries: revoked, Number: number,
		ThisUpdate: from.UTC().Truncate(time.Second), NextUpdate: next.UTC().Truncate(time.Second),
	}, ca, key)
}

// Revoked reads what is revoked: one certificate a line, as SERIAL[,TIME[,REASON]], with the serial number in
// hexadecimal, the time as in RFC 3339 (by default now) and the reason by its name in RFC 5280. Empty lines and those
// that begin with # are none.
func Revoked(r io.Reader, now time.Time) ([]x509.RevocationListEntry, error) {
	var found []x509.RevocationListEntry
	seen := map[string]int{}
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		entry, err := entry(line, now)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if first, twice := seen[entry.SerialNumber.Text(16)]; twice {
			return nil, fmt.Errorf("line %d: serial number %x stands in line %d, too", n, entry.SerialNumber, first)
		}
		seen[entry.SerialNumber.Text(16)] = n
		found = append(found, entry)
	}
	return found, lines.Err()
}

// maxSerial is the most octets of a serial number (RFC 5280, 4.1.2.2).
const maxSerial = 20

func entry(line string, now time.Time) (e x509.RevocationListEntry, err error) {
	parts := strings.Split(line, ",")
	if len(parts) > 3 {
		return e, fmt.Errorf("%q is not SERIAL, SERIAL,TIME or SERIAL,TIME,REASON", line)
	}
	serial := strings.ReplaceAll(strings.TrimPrefix(strings.TrimSpace(parts[0]), "serial="), ":", "") // as OpenSSL prints it
	number, ok := new(big.Int).SetString(serial, 16)
	if !ok || number.Sign() <= 0 || number.BitLen() > maxSerial*8 {
		return e, fmt.Errorf("%q is no serial number: up to %d octets in hexadecimal would be right", parts[0], maxSerial)
	}
	e = x509.RevocationListEntry{SerialNumber: number, RevocationTime: now.UTC().Truncate(time.Second)}
	if len(parts) > 1 && strings.TrimSpace(parts[1]) != "" {
		at, err := time.Parse(time.RFC3339, strings.TrimSpace(parts[1]))
		if err != nil || at.After(now) {
			return e, fmt.Errorf("%q is no time of a revocation: one of the past, such as 2026-01-31T12:00:00Z, would be right", parts[1])
		}
		e.RevocationTime = at.UTC().Truncate(time.Second)
	}
	if len(parts) > 2 {
		if e.ReasonCode, ok = reasons[strings.TrimSpace(parts[2])]; !ok {
			return e, fmt.Errorf("%q is no reason: it is one of %s", parts[2], strings.Join(slices.Sorted(maps.Keys(reasons)), ", "))
		}
	}
	return e, nil
}
