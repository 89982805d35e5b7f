package witness

import (
	"errors"
	"fmt"
	"strings"

	formats "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
)

// ParseKey reads the verifier key of a witness, NAME+ID+BASE64, of a type that makes timestamped cosignatures:
// 0x04 (Ed25519) or 0x06 (ML-DSA-44). The ID has to be that of the name and the key, so that a slip of the pen shows.
func ParseKey(vkey string) (note.Verifier, error) {
	v, err := formats.NewVerifierForCosignatureV1(vkey)
	if err != nil {
		return nil, errors.New("it is not a witness's verifier key, NAME+ID+BASE64 of the type 0x04 (Ed25519) or 0x06 (ML-DSA-44)")
	}
	if _, rest, _ := strings.Cut(vkey, "+"); !strings.HasPrefix(strings.ToLower(rest), fmt.Sprintf("%08x+", v.KeyHash())) {
		return nil, fmt.Errorf("its ID should be %08x: the name or the key was changed, or it is a key for notes (type 0x01), not for cosignatures", v.KeyHash())
	}
	return v, nil
}
