// Package receipts has receipts checked by a program that shares nothing with ours: verify_receipt.py, written from
// docs/transparency.md and docs/proof.md, with openssl for the signatures.
package receipts

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/audit"
	"github.com/hsmgate/hsmgate/gateway/audit/tree"
)

const origin = "log.example/hsmgate"

// logged is a log with signatures in it, whose checkpoints a key signs.
type logged struct {
	t       *testing.T
	folder  string
	signer  crypto.Signer
	receipt []tree.Receipt // of record 1, 2 …
}

// newLogged makes a log of n signatures over the files 1, 2 … of a folder, each with the hash that its algorithm has.
func newLogged(t *testing.T, signer crypto.Signer, n int) *logged {
	t.Helper()
	l := &logged{t: t, folder: t.TempDir(), signer: signer}
	key, err := tree.VerifierKey(origin, signer.Public())
	must(t, err)
	must(t, os.WriteFile(l.path("key"), []byte(key+"\n"), 0o600))
	path := l.path("audit.log")
	log, err := audit.Open(path, audit.Options{})
	must(t, err)
	defer log.Close()
	p, err := tree.Start(log, path, tree.Options{Origin: origin, Keys: []string{key}, Interval: 20 * time.Millisecond, Sign: l.sign})
	must(t, err)
	for i := range n {
		_, err := log.Append(t.Context(), l.signature(i+1))
		must(t, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err = p.Wait(ctx, uint64(n))
	must(t, err)
	for i := range n {
		r, err := p.Receipt(ctx, uint64(i+1))
		must(t, err)
		l.receipt = append(l.receipt, r)
	}
	must(t, p.Close(ctx))
	return l
}

func (l *logged) path(name string) string { return filepath.Join(l.folder, name) }

func (l *logged) sign(_ context.Context, text []byte) ([]byte, error) {
	if _, ok := l.signer.(ed25519.PrivateKey); ok {
		return l.signer.Sign(rand.Reader, text, crypto.Hash(0))
	}
	sum := sha256.Sum256(text)
	return l.signer.Sign(rand.Reader, sum[:], crypto.SHA256)
}

// signature writes the file N and its signature N.sig, and gives their record.
func (l *logged) signature(n int) *audit.Record {
	l.t.Helper()
	file, signature := fmt.Appendf(nil, "file %d\n", n), make([]byte, 64)
	rand.Read(signature)
	must(l.t, os.WriteFile(l.path(fmt.Sprint(n)), file, 0o600))
	must(l.t, os.WriteFile(l.path(fmt.Sprint(n, ".sig")), signature, 0o600))
	named := func(kind string, sum []byte) string { return kind + ":" + hex.EncodeToString(sum) }
	of, h256, h384, h512 := sha256.Sum256(signature), sha256.Sum256(file), sha512.Sum384(file), sha512.Sum512(file)
	twice := sha512.Sum512(h512[:])
	kinds := []struct{ algorithm, digest string }{
		{"ECDSA_SHA_256", named("sha256", h256[:])}, {"RSASSA_PSS_SHA_384", named("sha384", h384[:])},
		{"ED25519_SHA_512", named("sha512", h512[:])}, {"ED25519_PH_SHA_512", named("sha512", twice[:])},
	}
	kind := kinds[n%len(kinds)]
	return &audit.Record{Operation: "Sign", Outcome: "allowed", Principal: "ci", KeyARN: "arn:aws:kms:us-east-1:000000000000:key/1", KeyVersion: 2,
		UserAgent: `a "quoted" <agent> ü`, Algorithm: kind.algorithm, MessageType: "RAW", Digest: kind.digest, SignatureHash: named("sha256", of[:])}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// verify runs verify_receipt.py.
func (l *logged) verify(t *testing.T, file, signature string, receipt any, key string) (said string, code int) {
	t.Helper()
	text, err := json.Marshal(receipt)
	must(t, err)
	path := filepath.Join(t.TempDir(), "receipt")
	must(t, os.WriteFile(path, text, 0o600))
	cmd := exec.Command("/usr/bin/python3", "verify_receipt.py", l.path(file), l.path(signature), path, key)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); cmd.ProcessState == nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "Traceback") {
		t.Errorf("it broke down:\n%s", &out)
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

func signers(t *testing.T) map[string]crypto.Signer {
	t.Helper()
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return map[string]crypto.Signer{"Ed25519": ed, "ECDSA": ec}
}

// TestReceipts: the other program agrees on good receipts, at each place of a tree of every shape.
func TestReceipts(t *testing.T) {
	t.Parallel()
	for name, signer := range signers(t) {
		t.Run(name, func(t *testing.T) {
			for _, n := range []int{1, 2, 5} {
				l := newLogged(t, signer, n)
				for i, r := range l.receipt {
					file := fmt.Sprint(i + 1)
					if said, code := l.verify(t, file, file+".sig", r, l.path("key")); code != 0 || !strings.Contains(said, fmt.Sprintf("record %d of %s: ci signed", i+1, origin)) {
						t.Errorf("%d of %d: %s", i+1, n, said)
					}
				}
			}
			l := newLogged(t, signer, 20)
			for _, file := range []string{"1", "16", "17", "20"} {
				var i int
				_, err := fmt.Sscan(file, &i)
				must(t, err)
				if said, code := l.verify(t, file, file+".sig", l.receipt[i-1], l.path("key")); code != 0 {
					t.Errorf("%s of 20: %s", file, said)
				}
			}
		})
	}
}

// TestTampered: and refuses what is not.
func TestTampered(t *testing.T) {
	t.Parallel()
	for name, signer := range signers(t) {
		l, other := newLogged(t, signer, 5), newLogged(t, signer, 5)
		stranger := newLogged(t, signers(t)[name], 5)
		r := l.receipt[3]
		with := func(old, new string) tree.Receipt { // in the record or the proof
			if !strings.Contains(r.Record+r.Proof, old) {
				t.Fatalf("%q is not there", old)
			}
			return tree.Receipt{Record: strings.Replace(r.Record, old, new, 1), Proof: strings.Replace(r.Proof, old, new, 1)}
		}
		hashLine := strings.Split(r.Proof, "\n")[2]
		for what, c := range map[string]struct {
			file, signature, key string
			receipt              any
			want                 string
		}{
			"another file":            {file: "3", want: "of another file"},
			"another signature":       {signature: "3.sig", want: "of another signature"},
			"another log's key":       {key: stranger.path("key"), want: "not signed by"},
			"another record":          {receipt: tree.Receipt{Record: other.receipt[3].Record, Proof: r.Proof}, want: "of another signature"},
			"another proof":           {receipt: tree.Receipt{Record: r.Record, Proof: l.receipt[2].Proof}, want: "the proof is of number 3"},
			"another log of this key": {receipt: tree.Receipt{Record: r.Record, Proof: other.receipt[3].Proof}, want: "not in the tree"},
			"another principal":       {receipt: with(`"ci"`, `"di"`), want: "not in the tree"},
			"another index":           {receipt: with("index 3", "index 2"), want: "the proof is of number 3"},
			"another hash":            {receipt: with(hashLine, strings.Repeat("A", 43)+"="), want: "not in the tree"},
			"a hash less":             {receipt: with(hashLine+"\n", ""), want: "refused"},
			"a hash more":             {receipt: with(hashLine, hashLine+"\n"+hashLine), want: "refused"},
			"another size":            {receipt: with("\n5\n", "\n6\n"), want: "signature of the checkpoint is not good"},
			"another origin":          {receipt: with("\n\n"+origin, "\n\nlog.example/other"), want: "signature of the checkpoint is not good"},
			"no signature":            {receipt: tree.Receipt{Record: r.Record, Proof: r.Proof[:strings.LastIndex(r.Proof, "— ")]}, want: "refused"},
			"no proof":                {receipt: tree.Receipt{Record: r.Record}, want: "not of the form"},
			"a record that is none":   {receipt: tree.Receipt{Record: "[]", Proof: r.Proof}, want: "refused"},
			"a check of a signature":  {receipt: with(`"operation":"Sign"`, `"operation":"Verify"`), want: "not of a signature that was made"},
			"something else":          {receipt: []int{1}, want: "not a JSON object"},
		} {
			t.Run(name+", "+what, func(t *testing.T) {
				orElse := func(s *string, other string) {
					if *s == "" {
						*s = other
					}
				}
				orElse(&c.file, "4")
				orElse(&c.signature, "4.sig")
				orElse(&c.key, l.path("key"))
				if c.receipt == nil {
					c.receipt = r
				}
				if said, code := l.verify(t, c.file, c.signature, c.receipt, c.key); code != 1 || !strings.Contains(said, c.want) {
					t.Errorf("exit code %d: %s", code, said)
				}
			})
		}
	}
}
