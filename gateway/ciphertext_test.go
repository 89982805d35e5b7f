package gateway

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"strings"
	"testing"
)

const (
	someKey = "1234abcd-12ab-34cd-56ef-1234567890ab"
	someMRK = "mrk-1234abcd12ab34cd56ef1234567890ab"
)

// TestCiphertextFormat holds the bytes of docs/ciphertext.md: what was encrypted
// once must be readable for ever.
func TestCiphertextFormat(t *testing.T) {
	t.Parallel()
	sealed := bytes.Repeat([]byte{0xee}, 17)
	for _, c := range []struct {
		key  string
		iv   int
		want string
	}{
		{someKey, 12, "01" + "1234abcd12ab34cd56ef1234567890ab" + "00000102" + "0c" + "0a0a0a0a0a0a0a0a0a0a0a0a"},
		{someMRK, 16, "02" + "1234abcd12ab34cd56ef1234567890ab" + "00000102" + "10" + "0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a"},
		{someKey, 28, "01" + "1234abcd12ab34cd56ef1234567890ab" + "00000102" + "1c" + strings.Repeat("0a", 28)},
		{someMRK, 28, "02" + "1234abcd12ab34cd56ef1234567890ab" + "00000102" + "1c" + strings.Repeat("0a", 28)},
	} {
		e := &envelope{keyID: c.key, version: 258, iv: bytes.Repeat([]byte{10}, c.iv), sealed: sealed}
		b := e.encode()
		if got := hex.EncodeToString(b); got != c.want+hex.EncodeToString(sealed) {
			t.Errorf("%s: %s", c.key, got)
		}
		if back, ok := parseCiphertext(b); !ok || !reflect.DeepEqual(back, e) {
			t.Errorf("%s: read back as %+v", c.key, back)
		}
		for n := range b {
			if n <= len(b)-len(sealed)+16 {
				if _, ok := parseCiphertext(b[:n]); ok {
					t.Errorf("%d bytes of it are a ciphertext", n)
				}
			}
		}
	}
}

// TestContextForm: no two contexts have the same form, and each has one.
func TestContextForm(t *testing.T) {
	t.Parallel()
	seen := map[string]map[string]string{}
	for _, context := range []map[string]string{
		nil, {"": ""}, {"a": ""}, {"": "a"}, {"a": "b"}, {"ab": ""}, {"a": "b", "c": "d"}, {"a": "bc", "": "d"}, {"a": "d", "c": "b"},
		{"a\x00\x00\x00\x01b": ""}, {"ä": "b"}, {"a\u0308": "b"}, {"A": "b"}, {"a": "b\x00"}, {"a": "\x00\x00\x00\x00"},
	} {
		form := string(additional(someKey, 1, context))
		if other, there := seen[form]; there {
			t.Errorf("%q and %q have one form", context, other)
		}
		seen[form] = context
	}
	if a, b := additional(someKey, 1, map[string]string{}), additional(someKey, 1, nil); !bytes.Equal(a, b) {
		t.Error("no context has two forms")
	}
	want := header(someKey, 1)
	want = append(want, "\x00\x00\x00\x01Z\x00\x00\x00\x011\x00\x00\x00\x01a\x00\x00\x00\x022\xff"...)
	if got := additional(someKey, 1, map[string]string{"a": "2\xff", "Z": "1"}); !bytes.Equal(got, want) {
		t.Errorf("%x, want %x", got, want)
	}
	if bytes.Equal(additional(someKey, 1, nil), additional(someMRK, 1, nil)) || bytes.Equal(additional(someKey, 1, nil), additional(someKey, 2, nil)) {
		t.Error("the header is not bound")
	}
}

// FuzzCiphertext: any bytes are refused or read in the one way that writes them.
func FuzzCiphertext(f *testing.F) {
	for _, key := range []string{someKey, someMRK} {
		for _, size := range []int{12, 16, 28} {
			e := &envelope{keyID: key, version: 1, iv: make([]byte, size), sealed: make([]byte, 20)}
			f.Add(e.encode())
		}
	}
	f.Add([]byte{1})
	f.Add(bytes.Repeat([]byte{2}, 60))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, ok := parseCiphertext(b)
		if !ok {
			return
		}
		if !isKeyID(e.keyID) || e.version < 1 || len(e.sealed) <= tagLength {
			t.Fatalf("%+v", e)
		}
		if again := e.encode(); !bytes.Equal(again, b) {
			t.Fatalf("%x is written as %x", b, again)
		}
	})
}
