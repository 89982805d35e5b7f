package format_test

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/md5"
	"crypto/rand"
	"crypto/rsa"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/format"
)

// refusing is a signer that does not sign.
type refusing struct {
	crypto.Signer
	err error
}

func (r refusing) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, r.err }

// subject is what is tried: an artifact of a format that puts its signature into it, or the signature beside a fixed one.
type subject struct {
	artifact
	key    *format.Key
	signed []byte
}

// subjects are of every format.
func subjects(t testing.TB) []subject {
	var all []subject
	add := func(a artifact, k *format.Key) {
		all = append(all, subject{a, k, a.sign(t, k, a.data)})
	}
	k := newKey(t)
	for _, a := range artifacts(t) {
		add(a, k)
	}
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	created, says := time.Unix(1700000000, 0), &format.Predicate{Type: "https://example.org/test", Body: json.RawMessage("{}")}
	more := []*format.Key{{Signer: private, Created: created, Predicate: says}, {Signer: k.Signer, Certificates: k.Certificates, Created: created, Predicate: says}, {Signer: edwards, Predicate: says}}
	add(artifact{format.RPM, "app.rpm", smallRPM()}, more[0])
	add(artifact{format.DEB, "app.deb", smallDeb()}, more[1])
	add(artifact{format.Clearsign, "notes.txt", []byte("one\n- two  \n\nthree")}, more[1])
	for _, f := range format.All {
		for _, k := range more {
			if f.Output != nil && f.Suits(k) == nil {
				add(artifact{f, "app.txt", []byte("what is released\n")}, k)
			}
		}
	}
	return all
}

// try signs and verifies what may be broken: it ends, with an error that says which of both it is.
func (s subject) try(t *testing.T, data []byte) {
	t.Helper()
	trust, signature := keys(s.key), io.Reader(nil)
	if s.format.Output != nil {
		data, signature = s.data, bytes.NewReader(data)
	}
	in := file(t, s.name, data)
	err := s.format.Verify(&trust, in, signature)
	if err != nil && !errors.Is(err, format.ErrArtifact) && !errors.Is(err, format.ErrNotGood) && !errors.Is(err, format.ErrNotSigned) {
		t.Errorf("verify: %v", err)
	}
	if s.format.Output != nil {
		return
	}
	if err := s.format.Sign(t.Context(), s.key, in, io.Discard); err != nil && !errors.Is(err, format.ErrArtifact) {
		t.Errorf("sign: %v", err)
	}
}

// TestBroken cuts artifacts and signatures off and changes their bytes.
func TestBroken(t *testing.T) {
	for _, s := range subjects(t) {
		t.Run(s.format.Name, func(t *testing.T) {
			all := [][]byte{s.data, s.signed}
			if s.format.Output != nil {
				all = all[1:]
			}
			for _, data := range all {
				step := 1 + len(data)/24
				for at := 0; at < len(data); at += step {
					s.try(t, data[:at])
					for _, b := range []byte{0, 0xff} {
						changed := bytes.Clone(data)
						changed[at] = b
						s.try(t, changed)
					}
				}
				for at := 0; at < min(len(data), 600); at += 8 { // sizes in headers
					for _, size := range []string{"\xff\xff\xff\x7f", "\x7f\xff\xff\xff"} {
						changed := bytes.Clone(data)
						copy(changed[at:], size)
						s.try(t, changed)
					}
				}
			}
		})
	}
}

// TestRPMBroken: what a header of a package states is compared with the package before room is made for it.
func TestRPMBroken(t *testing.T) {
	data := smallRPM()
	for at, b := range map[int]byte{104: 0x0f, 108: 0x0f, 120: 0xff, 121: 0xff, 124: 0x0f} {
		changed := bytes.Clone(data)
		changed[at] = b
		before, after := runtime.MemStats{}, runtime.MemStats{}
		runtime.ReadMemStats(&before)
		err := format.RPM.Verify(&format.Trust{}, file(t, "app.rpm", changed), nil)
		runtime.ReadMemStats(&after)
		if !errors.Is(err, format.ErrArtifact) || !strings.Contains(err.Error(), "the header at 96") {
			t.Errorf("byte %d: %v", at, err)
		}
		if made := after.TotalAlloc - before.TotalAlloc; made > 1<<20 {
			t.Errorf("byte %d: %d bytes were made room for", at, made)
		}
	}
}

// FuzzVerify: no format panics, hangs or makes room for what a broken artifact or signature states.
func FuzzVerify(f *testing.F) {
	all := subjects(f)
	for i, s := range all {
		if s.format.Output == nil {
			f.Add(uint8(i), s.data)
		}
		f.Add(uint8(i), s.signed)
	}
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		all[int(which)%len(all)].try(t, data)
	})
}

// smallRPM has an entry in each header: the MD5 of what follows, and a name.
func smallRPM() []byte {
	header := func(tag, kind, count uint32, value []byte) []byte {
		var h []byte
		for _, n := range []uint32{0x8eade801, 0, 1, uint32(len(value)), tag, kind, 0, count} {
			h = binary.BigEndian.AppendUint32(h, n)
		}
		return append(h, value...)
	}
	what := append(header(1000, 6, 1, []byte("app\x00")), "what is released"...)
	sum := md5.Sum(what)
	lead := append([]byte{0xed, 0xab, 0xee, 0xdb, 3}, make([]byte, 91)...)
	return slices.Concat(lead, header(1004, 7, uint32(len(sum)), sum[:]), what)
}

func smallDeb() []byte {
	return []byte("!<arch>\n" + arMember("debian-binary", "2.0\n") + arMember("control.tar.gz", "control") + arMember("data.tar.gz", "what is released"))
}

func arMember(name, body string) string {
	if len(body)%2 == 1 {
		body += "\n"
	}
	return fmt.Sprintf("%-16s%-12d%-6d%-6d%-8s%-10d`\n", name, 0, 0, 0, "100644", len(body)) + body
}
