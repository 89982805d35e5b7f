package certificate

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// MaxPEM is the longest text that FromPEM takes, in bytes.
const MaxPEM = 1 << 20

const pemType = "CERTIFICATE"

// FromPEM reads the certificates in a text, such as a key's own and then those of its issuers, in their order. Blocks of other
// types are passed over, but a certificate that cannot be read is an error: without it the others would say something else.
func FromPEM(text []byte) (found []*x509.Certificate, err error) {
	if len(text) > MaxPEM {
		return nil, fmt.Errorf("it has more than %d bytes", MaxPEM)
	}
	begun := bytes.Count(text, []byte("-----BEGIN "+pemType+"-----"))
	var others []string
	for rest := text; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != pemType {
			others = append(others, block.Type)
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d of %d in it: %w", len(found)+1, begun, err)
		}
		found = append(found, c)
	}
	switch {
	case len(found) < begun: // pem.Decode passes over what is broken
		return nil, fmt.Errorf("of the %d certificates in it %d can be read: the PEM of the others is cut or changed", begun, len(found))
	case len(found) > 0:
		return found, nil
	case len(others) > 0:
		return nil, fmt.Errorf("it holds no certificate in PEM but: %s", strings.Join(others, ", "))
	case len(text) > 0 && text[0] == 0x30: // a SEQUENCE of DER
		return nil, errors.New("it holds no certificate in PEM: it seems to be DER, which 'openssl x509 -inform der' makes into PEM")
	}
	return nil, errors.New("it holds no certificate in PEM")
}
