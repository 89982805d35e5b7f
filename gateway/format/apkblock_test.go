package format_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/format"
)

// withBlock puts one more part into the signing block of a package.
func withBlock(signed []byte, id uint32, part []byte) []byte {
	le := binary.LittleEndian
	list := int(le.Uint32(signed[len(signed)-22+16:]))
	size := le.Uint64(signed[list-24:])
	start := list - int(size) - 8
	pair := le.AppendUint32(le.AppendUint64(nil, uint64(4+len(part))), id)
	pair = append(pair, part...)
	made := le.AppendUint64(bytes.Clone(signed[:start]), size+uint64(len(pair)))
	made = append(append(made, signed[start+8:list-24]...), pair...)
	made = append(le.AppendUint64(made, size+uint64(len(pair))), signed[list-16:list]...)
	at := uint32(len(made))
	made = append(made, signed[list:]...)
	le.PutUint32(made[len(made)-22+16:], at)
	return made
}

// TestAPKOtherSchemes: newer schemes, of which Android looks at the newest alone, may be another's. What only fills the
// block up is no signature.
func TestAPKOtherSchemes(t *testing.T) {
	k := newKey(t)
	a := artifact{format.APK, "app.apk", testdata(t, "app.apk")}
	signed := a.sign(t, k, a.data)
	if err := a.verify(t, keys(k), withBlock(signed, 0x42726577, make([]byte, 64))); err != nil {
		t.Error(err)
	}
	for _, id := range []uint32{0xf05368c0, 0x1b93ad61, 0x7109871a} {
		more := withBlock(signed, id, []byte("a signature of another's"))
		if err := a.verify(t, keys(k), more); !errors.Is(err, format.ErrNotGood) {
			t.Errorf("%#x: %v", id, err)
		}
		again := a.sign(t, k, more)
		if bytes.Contains(again, []byte("another's")) {
			t.Errorf("%#x is there still after it was signed once more", id)
		}
		if err := a.verify(t, keys(k), again); err != nil {
			t.Errorf("%#x, signed once more: %v", id, err)
		}
	}
}
