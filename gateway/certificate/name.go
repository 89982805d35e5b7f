package certificate

import (
	"crypto/x509/pkix"
	"fmt"
	"net/url"
	"strings"
)

// Names are the further names of a subject (subjectAltName).
type Names struct {
	DNS   []string
	Email []string
	URI   []*url.URL
}

// Subject reads a distinguished name such as "CN=Release,O=Example\, Inc.,C=DE", in the form of RFC 4514 with the types
// CN, O, OU, C, L, ST and serialNumber. Of CN and serialNumber there is one at most.
func Subject(text string) (name pkix.Name, err error) {
	lists := map[string]*[]string{"O": &name.Organization, "OU": &name.OrganizationalUnit, "C": &name.Country, "L": &name.Locality, "ST": &name.Province}
	single := map[string]*string{"CN": &name.CommonName, "SERIALNUMBER": &name.SerialNumber}
	for _, part := range unescaped(text) {
		kind, value, found := strings.Cut(strings.TrimSpace(part), "=")
		kind, value = strings.ToUpper(strings.TrimSpace(kind)), strings.TrimSpace(value)
		list, one := lists[kind], single[kind]
		switch {
		case !found || value == "" || list == nil && one == nil:
			return name, fmt.Errorf("%q is no part of a subject: CN=…, O=…, OU=…, C=…, L=…, ST=… or serialNumber=… would be right, with a comma between two", part)
		case kind == "C" && len(value) != 2:
			return name, fmt.Errorf("%q is no country: two letters, such as DE, would be right", value)
		case one != nil && *one != "":
			return name, fmt.Errorf("a subject has one %s, and %q is a second one", kind, value)
		case one != nil:
			*one = value
		default:
			*list = append(*list, value)
		}
	}
	return name, nil
}

// unescaped splits at commas, but for those with a backslash before them.
func unescaped(text string) []string {
	parts := []string{""}
	escaped := false
	for _, r := range text {
		last := len(parts) - 1
		switch {
		case !escaped && r == '\\':
			escaped = true
			continue
		case !escaped && r == ',':
			parts = append(parts, "")
		default:
			parts[last] += string(r)
		}
		escaped = false
	}
	return parts
}
