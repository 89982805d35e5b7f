package tree

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const origin = "log.example.com/test"

// Keys in memory sign here; the gateway's tests sign in a token.
func edKey(t testing.TB) crypto.Signer {
	_, k, err := ed25519.GenerateKey(nil)
	must(t, err)
	return k
}

func ecKey(t testing.TB) crypto.Signer {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return k
}

func signerOf(t testing.TB, name string, k crypto.Signer) (note.Signer, note.Verifier) {
	t.Helper()
	vkey, err := VerifierKey(name, k.Public())
	must(t, err)
	s, err := NewSigner(vkey, func(text []byte) ([]byte, error) {
		if _, ok := k.(ed25519.PrivateKey); ok {
			return k.Sign(nil, text, crypto.Hash(0))
		}
		sum := sha256.Sum256(text)
		return k.Sign(rand.Reader, sum[:], crypto.SHA256)
	})
	must(t, err)
	keys, err := ParseKeys(vkey)
	must(t, err)
	return s, keys[0]
}

// openssl checks the first signature of a note with the public key, which it alone reads.
func openssl(t testing.TB, signed []byte, public any) {
	t.Helper()
	text, sigs, _ := strings.Cut(string(signed), "\n\n")
	fields := strings.Fields(sigs)
	sig, err := base64.StdEncoding.DecodeString(fields[2])
	must(t, err)
	der, err := x509.MarshalPKIXPublicKey(public)
	must(t, err)
	in := func(name string, b []byte) string {
		path := filepath.Join(t.TempDir(), name)
		must(t, os.WriteFile(path, b, 0o600))
		return path
	}
	args := []string{"pkeyutl", "-verify", "-pubin", "-inkey", in("key", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})),
		"-rawin", "-in", in("text", []byte(text+"\n")), "-sigfile", in("sig", sig[4:])}
	if _, ok := public.(*ecdsa.PublicKey); ok {
		args = append(args, "-digest", "sha256")
	}
	if out, err := exec.Command("openssl", args...).CombinedOutput(); err != nil {
		t.Fatalf("openssl %v: %s", err, out)
	}
}

func TestCheckpointIsAPublicSignedNote(t *testing.T) {
	for _, k := range []crypto.Signer{edKey(t), ecKey(t)} {
		s, v := signerOf(t, origin, k)
		want := treeOf(t, 300)
		c, err := SignCheckpoint(origin, want, s)
		must(t, err)
		openssl(t, c.Text, k.Public())
		if n, err := note.Open(c.Text, note.VerifierList(v)); err != nil || n.Text != fmt.Sprintf("%s\n300\n%s\n", origin, want.Hash) {
			t.Fatal(n, err)
		}
		got, err := ParseCheckpoint(c.Text, v)
		if err != nil || got.Origin != origin || got.Tree != want || len(got.Signed) != 1 {
			t.Fatal(got, err)
		}
	}
}

func TestCheckpointsThatAreRefused(t *testing.T) {
	s, v := signerOf(t, origin, edKey(t))
	other, otherKey := signerOf(t, "witness.example.com", edKey(t))
	impostor, _ := signerOf(t, origin, edKey(t))
	c, err := SignCheckpoint(origin, treeOf(t, 3), s)
	must(t, err)
	sign := func(text string, by note.Signer) string {
		b, err := note.Sign(&note.Note{Text: text}, by)
		must(t, err)
		return string(b)
	}
	root := treeOf(t, 3).Hash.String()
	for text, want := range map[string]string{
		strings.Replace(string(c.Text), "\n3\n", "\n4\n", 1):        "invalid signature",
		sign(origin+"\n3\n"+root+"\n", impostor):                    "not signed by a key that is known here; it is signed by " + origin,
		sign(origin+"\n3\n"+root+"\n", other):                       "not signed by a key of that name",
		sign("another.example.com\n3\n"+root+"\n", s):               "not signed by a key of that name",
		sign(origin+"\n03\n"+root+"\n", s):                          "three lines",
		sign(origin+"\n3\n"+root[:40]+"\n", s):                      "hash",
		sign(origin+"\n3\n"+root+"\nmore\n", s):                     "three lines",
		sign(origin+"\n18446744073709551615\n"+root+"\n", s):        "three lines",
		sign(origin+"\n-3\n"+root+"\n", s):                          "size",
		"":                                                          "malformed",
		strings.Repeat("x", maxCheckpoint+1):                        "are the most",
		strings.Replace(string(c.Text), "— "+origin, "— nobody", 1): "it is signed by nobody",
	} {
		if got, err := ParseCheckpoint([]byte(text), v, otherKey); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q\n%+v\n%v\nwant %s", text, got, err, want)
		}
	}
}

func TestReceipt(t *testing.T) {
	s, v := signerOf(t, origin, edKey(t))
	d, tree := dirOf(t, 700)
	c, err := SignCheckpoint(origin, tree, s)
	must(t, err)
	for _, seq := range []uint64{1, 2, 256, 257, 513, 700} {
		text, err := d.Proof(c, seq)
		must(t, err)
		r := Receipt{Record: string(line(int(seq) - 1)), Proof: text}
		record, got, err := r.Verify(v)
		if err != nil || record.Seq != seq || got.Tree != tree {
			t.Fatal(seq, record, got, err)
		}
		for name, bad := range map[string]Receipt{
			"another record": {string(line(int(seq))), text},
			"another number": {r.Record, strings.Replace(text, fmt.Sprintf("index %d\n", seq-1), fmt.Sprintf("index %d\n", seq), 1)},
			"too far":        {r.Record, strings.Replace(text, fmt.Sprintf("index %d\n", seq-1), "index 700\n", 1)},
			"no proof":       {r.Record, ""},
			"cut":            {r.Record, text[:len(text)/2]},
			"a hash less":    {r.Record, cutLine(text, 3)},
			"no hashes":      {r.Record, fmt.Sprintf("c2sp.org/tlog-proof@v1\nindex %d\n\n%s", seq-1, c.Text)},
		} {
			if _, _, err := bad.Verify(v); err == nil {
				t.Errorf("record %d: %s is taken", seq, name)
			}
		}
		_, stranger := signerOf(t, origin, edKey(t))
		if _, _, err := r.Verify(stranger); err == nil {
			t.Error("another key is taken")
		}
	}
	if _, err := d.Proof(c, 701); err == nil {
		t.Fatal("a record that is not in the tree has a proof")
	}
}

func cutLine(text string, n int) string {
	lines := strings.SplitAfter(text, "\n")
	return strings.Join(append(lines[:n:n], lines[n+1:]...), "")
}

func TestKeysThatAreRefused(t *testing.T) {
	key, err := VerifierKey(origin, edKey(t).Public())
	must(t, err)
	for text, want := range map[string]string{
		"":       "no verifier key",
		"x":      "not a verifier key",
		key[:30]: "not a verifier key",
		key + "\n" + strings.Replace(key, "test", "tost", 1): "not a verifier key",
	} {
		if got, err := ParseKeys(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Error(text, got, err)
		}
	}
	for _, name := range []string{"", "a b", "a+b", "a\nb", "ä", strings.Repeat("x", 201)} {
		if _, err := VerifierKey(name, edKey(t).Public()); err == nil || !strings.Contains(err.Error(), "cannot name a log") {
			t.Error(name, err)
		}
	}
	if _, err := VerifierKey(origin, "key"); err == nil {
		t.Error("a text is a key")
	}
	s, _ := signerOf(t, origin, edKey(t))
	wrong := signer{s.(signer).Verifier, func([]byte) ([]byte, error) { return make([]byte, 64), nil }}
	if _, err := SignCheckpoint(origin, tlog.Tree{}, wrong); err == nil {
		t.Error("a wrong signature is taken")
	}
}
