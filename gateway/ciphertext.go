package gateway

import (
	"encoding/binary"
	"encoding/hex"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// envelope is a symmetric ciphertext, taken apart; docs/ciphertext.md has the
// format. It names its key, so that Decrypt finds it.
type envelope struct {
	keyID   string
	version int
	iv      []byte
	sealed  []byte // AES-GCM ciphertext with its tag
}

const (
	formatUUID   = 1 // the first byte: a key whose id is a UUID
	formatMRK    = 2 // a key whose id is mrk- and 32 hex digits
	headerLength = 1 + 16 + 4
	tagLength    = 16
)

// header begins the ciphertext and the additional data. It is nil for an id that
// no key has.
func header(keyID string, version int) []byte {
	h := make([]byte, headerLength)
	id, isMRK := strings.CutPrefix(keyID, "mrk-")
	h[0] = formatUUID
	if isMRK {
		h[0] = formatMRK
	}
	if _, err := hex.Decode(h[1:17], []byte(strings.ReplaceAll(id, "-", ""))); err != nil {
		return nil
	}
	binary.BigEndian.PutUint32(h[17:], uint32(version))
	return h
}

// encode writes the ciphertext.
func (e *envelope) encode() []byte {
	b := make([]byte, 0, headerLength+1+len(e.iv)+len(e.sealed))
	b = append(b, header(e.keyID, e.version)...)
	b = append(append(b, byte(len(e.iv))), e.iv...)
	return append(b, e.sealed...)
}

// parseCiphertext reads a ciphertext; false: it is none of this gateway. What it
// says is not believed before the token has decrypted it.
func parseCiphertext(b []byte) (*envelope, bool) {
	if len(b) <= headerLength || b[0] != formatUUID && b[0] != formatMRK {
		return nil, false
	}
	e := &envelope{keyID: uuid.UUID(b[1:17]).String(), version: int(binary.BigEndian.Uint32(b[17:]))}
	if b[0] == formatMRK {
		e.keyID = "mrk-" + hex.EncodeToString(b[1:17])
	}
	size, rest := int(b[headerLength]), b[headerLength+1:]
	if size != 12 && size != 16 && size != 28 || len(rest) <= size+tagLength || e.version < 1 || e.version > 1<<31-1 {
		return nil, false
	}
	e.iv, e.sealed = rest[:size], rest[size:]
	return e, true
}

// additional is what AES-GCM authenticates beside the plaintext: the header, and
// the encryption context in the one form that it has: each name and each value
// behind its length, sorted by the bytes of the names.
func additional(keyID string, version int, context map[string]string) []byte {
	b := header(keyID, version)
	for _, name := range slices.Sorted(maps.Keys(context)) {
		b = prefixed(prefixed(b, name), context[name])
	}
	return b
}

func prefixed(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
}
