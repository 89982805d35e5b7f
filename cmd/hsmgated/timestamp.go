package main

import (
	"encoding/asn1"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/certificate"
	"github.com/hsmgate/hsmgate/gateway/timestamp"
)

// Timestamp is a timestamp authority.
type Timestamp struct {
	// Key is the id, ARN or alias of the key that signs, in the home region: RSA,
	// P-256, P-384 or P-521. Empty is no authority.
	Key string `yaml:"key"`
	// CertificateFile holds the key's certificate, PEM, and then those of its
	// issuers, which tokens hold, too. Its extended key usage is timeStamping, alone
	// and critical. It is read at the start, and each of these has to have issued one
	// before it.
	CertificateFile string `yaml:"certificate_file"`
	// Policy is the object identifier of the policy that tokens are made by, such
	// as 1.3.6.1.4.1.99999.1.
	Policy string `yaml:"policy"`
	// Accuracy of the system's clock, and of the millisecond to which tokens tell the
	// time, which they state: at least 1ms. Default 0s: not said.
	Accuracy time.Duration `yaml:"accuracy"`
	// Public serves those who send no credential, too, if the key's policy allows
	// hsmgate:Timestamp to "Principal": "*". Default: nobody without one.
	Public bool `yaml:"public"`
	// PublicLimit bounds the calls of all those together. Default 10
	// requests_per_second, and 20 as burst.
	PublicLimit gateway.Limit `yaml:"public_limit"`
}

// gateway is the same for the service; nil where there is no authority.
func (t *Timestamp) gateway() (*gateway.Timestamps, error) {
	if t.Key == "" {
		return nil, nil //nolint:nilnil // no authority
	}
	id, err := objectID(t.Policy)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(t.CertificateFile)
	if err != nil {
		return nil, fmt.Errorf("timestamp.certificate_file: %w", err)
	}
	certificates, err := certificate.FromPEM(text)
	if err != nil {
		return nil, fmt.Errorf("timestamp.certificate_file: %w", err)
	}
	limit := t.PublicLimit
	if limit == (gateway.Limit{}) {
		limit = gateway.Limit{RequestsPerSecond: 10, Burst: 20}
	}
	authority := timestamp.Authority{Certificates: certificates, Policy: id, Accuracy: t.Accuracy}
	if err := authority.Check(); err != nil {
		return nil, fmt.Errorf("timestamp.certificate_file: %w", err)
	}
	return &gateway.Timestamps{Authority: authority, Key: t.Key, Public: t.Public, Limit: limit}, nil
}

// check says what is wrong with the settings.
func (t *Timestamp) check(wrong func(string, ...any)) {
	if t.Key == "" {
		if *t != (Timestamp{}) {
			wrong("timestamp.key: the key of the timestamp authority is missing")
		}
		return
	}
	if t.CertificateFile == "" {
		wrong("timestamp.certificate_file: the certificate of the timestamp authority is missing")
	}
	if _, err := objectID(t.Policy); err != nil {
		wrong("%v", err)
	}
	if t.Accuracy != 0 && (t.Accuracy < timestamp.Precision || t.Accuracy >= time.Hour || t.Accuracy%time.Microsecond != 0) {
		wrong("timestamp.accuracy is at least 1ms, since tokens tell the time to the millisecond, and less than an hour, in whole microseconds")
	}
	if problem := t.PublicLimit.Check(); problem != "" {
		wrong("timestamp.public_limit: %s", problem)
	}
}

// objectID reads an object identifier in dots, whose first arc is 0, 1 or 2.
func objectID(text string) (asn1.ObjectIdentifier, error) {
	var id asn1.ObjectIdentifier
	for arc := range strings.SplitSeq(text, ".") {
		n, err := strconv.ParseUint(arc, 10, 31)
		if err != nil {
			return nil, fmt.Errorf("timestamp.policy: %q is no object identifier, such as 1.3.6.1.4.1.99999.1", text)
		}
		id = append(id, int(n))
	}
	if _, err := asn1.Marshal(id); err != nil {
		return nil, fmt.Errorf("timestamp.policy: %q is no object identifier, such as 1.3.6.1.4.1.99999.1", text)
	}
	return id, nil
}
