package identity

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/hsmgate/hsmgate/gateway/policy"
)

// CertificateRule gives a role to client certificates.
type CertificateRule struct {
	// Role is the name of the role.
	Role string `yaml:"role"`
	// Subject is the whole subject, in the order and with the escapes of RFC 4514,
	// such as CN=builder-*,O=Example. Attribute is compared with attribute, so
	// that a comma within a name separates nothing. * stands for any characters and
	// ? for one, but neither for a colon. Empty: any subject.
	Subject string `yaml:"subject"`
	// SANs are subject alternative names, each with its kind (dns:, uri:, email: or
	// ip:) and with * and ? as in the subject. For each, one of the certificate's has
	// to fit.
	SANs []string `yaml:"sans"`
}

type certificateRule struct {
	role    string
	subject []attribute // nil: any
	sans    []policy.Like
}

// attribute of a subject, in a rule.
type attribute struct {
	kind  string // OID
	value policy.Like
}

func compileCertificateRules(rules []CertificateRule) (made []certificateRule, err error) {
	var problems []error
	wrong := func(n int, format string, args ...any) {
		problems = append(problems, fmt.Errorf("client_certificates: rules: number %d: %w", n+1, fmt.Errorf(format, args...)))
	}
	for n, r := range rules {
		one := certificateRule{role: r.Role}
		if !validName.MatchString(r.Role) {
			wrong(n, "role %q is not the name of a role", r.Role)
		}
		if r.Subject == "" && len(r.SANs) == 0 {
			wrong(n, "subject or sans is needed, or every certificate of the CAs has the role")
		}
		if r.Subject != "" {
			if one.subject, err = parseSubject(r.Subject); err != nil {
				wrong(n, "subject %q: %w", r.Subject, err)
			}
		}
		for _, san := range r.SANs {
			if kind, value, _ := strings.Cut(san, ":"); value == "" || !slices.Contains([]string{"dns", "uri", "email", "ip"}, kind) {
				wrong(n, "sans: %q does not begin with dns:, uri:, email: or ip:", san)
			}
			one.sans = append(one.sans, policy.NewLike(san))
		}
		made = append(made, one)
	}
	return made, errors.Join(problems...)
}

func (r certificateRule) fits(c *Certificate) bool {
	for _, san := range r.sans {
		if !slices.ContainsFunc(c.sans, san.Match) {
			return false
		}
	}
	if r.subject == nil {
		return true
	}
	have, err := subjectOf(c.leaf)
	if err != nil || len(have) != len(r.subject) {
		return false
	}
	for n, want := range r.subject {
		of := have[len(have)-1-n] // RFC 4514 begins with the last
		if len(of) != 1 || of[0].Type.String() != want.kind {
			return false
		}
		if value, isText := of[0].Value.(string); !isText || !want.value.Match(value) {
			return false
		}
	}
	return true
}

// subjectOf is the subject as it stands in the certificate: pkix.Name would keep
// one CN of several.
func subjectOf(leaf *x509.Certificate) (names pkix.RDNSequence, err error) {
	rest, err := asn1.Unmarshal(leaf.RawSubject, &names)
	if err == nil && len(rest) > 0 {
		err = errors.New("something follows the subject")
	}
	return names, err
}

// The names of attributes (RFC 4514, section 3, and those that the standard library writes).
var attributeKinds = map[string]string{
	"CN": "2.5.4.3", "SERIALNUMBER": "2.5.4.5", "C": "2.5.4.6", "L": "2.5.4.7", "ST": "2.5.4.8", "STREET": "2.5.4.9", "O": "2.5.4.10",
	"OU": "2.5.4.11", "POSTALCODE": "2.5.4.17", "DC": "0.9.2342.19200300.100.1.25", "UID": "0.9.2342.19200300.100.1.1",
}

var oid = regexp.MustCompile(`^[0-2](\.(0|[1-9][0-9]*))+$`)

// parseSubject reads the subject of a rule.
func parseSubject(text string) (all []attribute, err error) {
	for rest, more := text, true; more; {
		var name, value string
		name, rest, more = strings.Cut(rest, "=")
		if !more {
			return nil, fmt.Errorf("%q: attribute=value is asked for", name)
		}
		name = strings.TrimLeft(name, " ")
		kind, known := attributeKinds[strings.ToUpper(name)]
		switch {
		case oid.MatchString(name):
			kind = name
		case !known:
			return nil, fmt.Errorf("attribute %q: CN, O, OU, C, L, ST, STREET, DC, UID, SERIALNUMBER, POSTALCODE or an OID is asked for", name)
		}
		if value, rest, more, err = cutValue(rest); err != nil {
			return nil, err
		}
		if value == "" {
			return nil, fmt.Errorf("%s has no value", name)
		}
		all = append(all, attribute{kind, policy.NewLike(value)})
	}
	return all, nil
}

// cutValue takes the value of an attribute, without its escapes, up to the next
// comma (RFC 4514, section 2.4).
func cutValue(text string) (value, rest string, more bool, err error) {
	var b strings.Builder
	for n := 0; n < len(text); n++ {
		switch c := text[n]; {
		case c == ',':
			return b.String(), text[n+1:], true, nil
		case c == '\\':
			plain, length, err := unescape(text[n+1:])
			if err != nil {
				return "", "", false, err
			}
			b.WriteByte(plain)
			n += length
		case strings.IndexByte(`+";<>`, c) >= 0 || c == '#' && b.Len() == 0 || c == 0:
			return "", "", false, fmt.Errorf("%q has to be written \\%c; several attributes joined by +, and values in hex, are not compared here", c, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), "", false, nil
}

func unescape(text string) (plain byte, length int, err error) {
	if text != "" && strings.IndexByte(` "#+,;<=>\`, text[0]) >= 0 {
		return text[0], 1, nil
	}
	if len(text) >= 2 {
		if b, err := hex.DecodeString(text[:2]); err == nil && b[0] != '*' && b[0] != '?' {
			return b[0], 2, nil
		}
	}
	return 0, 0, errors.New(`a \ is followed by one of  "#+,;<=>\ or by two hex digits; * and ? are always wildcards`)
}
