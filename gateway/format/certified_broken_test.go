package format_test

import (
	"bytes"
	"crypto"
	"errors"
	"io"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/format"
)

// refusing is a signer that does not sign.
type refusing struct {
	crypto.Signer
	err error
}

func (r refusing) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, r.err }

// tryBroken signs and verifies what may be broken: it ends, with an error that says which of both it is.
func tryBroken(t *testing.T, f *format.Format, k *format.Key, name string, data []byte) {
	t.Helper()
	trust := keys(k)
	in := file(t, name, data)
	err := f.Verify(&trust, in, nil)
	if err != nil && !errors.Is(err, format.ErrArtifact) && !errors.Is(err, format.ErrNotGood) && !errors.Is(err, format.ErrNotSigned) {
		t.Errorf("verify: %v", err)
	}
	if err := f.Sign(t.Context(), k, in, io.Discard); err != nil && !errors.Is(err, format.ErrArtifact) {
		t.Errorf("sign: %v", err)
	}
}

// TestCertifiedBroken cuts artifacts off and changes their bytes, signed and not.
func TestCertifiedBroken(t *testing.T) {
	k := newKey(t)
	for _, a := range artifacts(t) {
		t.Run(a.format.Name, func(t *testing.T) {
			for _, data := range [][]byte{a.data, a.sign(t, k, a.data)} {
				step := 1 + len(data)/24
				for at := 0; at < len(data); at += step {
					tryBroken(t, a.format, k, a.name, data[:at])
					for _, b := range []byte{0, 0xff} {
						changed := bytes.Clone(data)
						changed[at] = b
						tryBroken(t, a.format, k, a.name, changed)
					}
				}
				for at := 0; at < min(len(data), 600); at += 8 { // sizes in headers
					changed := bytes.Clone(data)
					copy(changed[at:], "\xff\xff\xff\x7f")
					tryBroken(t, a.format, k, a.name, changed)
				}
			}
		})
	}
}

// FuzzCertified: no format panics, hangs or makes room for what a broken artifact states.
func FuzzCertified(f *testing.F) {
	k := newKey(f)
	all := artifacts(f)
	for i, a := range all {
		f.Add(uint8(i), a.data)
		f.Add(uint8(i), a.sign(f, k, a.data))
	}
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		a := all[int(which)%len(all)]
		tryBroken(t, a.format, k, a.name, data)
	})
}
