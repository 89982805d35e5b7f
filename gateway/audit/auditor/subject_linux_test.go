package auditor

import (
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/audit"
	"github.com/hsmgate/hsmgate/gateway/audit/tree"
)

func subject(t *testing.T, file, signature string) *Subject {
	t.Helper()
	s, err := NewSubject(strings.NewReader(file), []byte(signature))
	must(t, err)
	return s
}

// TestSubject: which records show that a file has a signature.
func TestSubject(t *testing.T) {
	t.Parallel()
	const file, signature = "a file", "its signature"
	of384, of512 := sha512.Sum384([]byte(file)), sha512.Sum512([]byte(file))
	twice := sha512.Sum512(of512[:])
	for name, c := range map[string]struct {
		change func(r *audit.Record)
		want   error
	}{
		"as it is": {func(*audit.Record) {}, nil},
		"SHA-384":  {func(r *audit.Record) { r.Digest = "sha384:" + hex.EncodeToString(of384[:]) }, nil},
		"SHA-512":  {func(r *audit.Record) { r.Digest = "sha512:" + hex.EncodeToString(of512[:]) }, nil},
		"Ed25519ph": {func(r *audit.Record) {
			r.Algorithm, r.Digest = "ED25519_PH_SHA_512", "sha512:"+hex.EncodeToString(twice[:])
		}, nil},
		"Ed25519ph of another file": {func(r *audit.Record) {
			r.Algorithm, r.Digest = "ED25519_PH_SHA_512", "sha512:"+hex.EncodeToString(of512[:])
		}, ErrOtherFile},
		"the hash of the hash": {func(r *audit.Record) { r.Digest = "sha512:" + hex.EncodeToString(twice[:]) }, ErrOtherFile},
		"an external mu":       {func(r *audit.Record) { r.MessageType = "EXTERNAL_MU" }, ErrOtherFile},
		"another file":         {func(r *audit.Record) { r.Digest = sha("another file") }, ErrOtherFile},
		"no digest":            {func(r *audit.Record) { r.Digest = "" }, ErrOtherFile},
		"another signature":    {func(r *audit.Record) { r.SignatureHash = sha("another") }, ErrOtherSignature},
		"no signature":         {func(r *audit.Record) { r.SignatureHash = "" }, ErrOtherSignature},
		"a check of it":        {func(r *audit.Record) { r.Operation = "Verify" }, ErrOtherSignature},
		"a failure":            {func(r *audit.Record) { r.Outcome = "failed" }, ErrOtherSignature},
		"a beginning":          {func(r *audit.Record) { r.Phase = "started" }, ErrOtherSignature},
	} {
		r := record(file, signature)
		c.change(r)
		if err := subject(t, file, signature).Check(*r); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestReceipts: each signature of a log is found, its receipt verifies with the log's key alone, and nothing else does.
func TestReceipts(t *testing.T) {
	t.Parallel()
	w, by := newWorld(t), newWorld(t).trust()
	w.add(300, "a")
	w.add(3, "a")
	var receipts []tree.Receipt
	for _, n := range []string{"a4", "a256", "a300"} {
		found, err := subject(t, n, "signature of "+n).Find(w.path)
		must(t, err)
		r, c, err := w.trust().Receipt(tree.DirOf(w.path), found)
		must(t, err)
		got, _, err := w.trust().Verify(r)
		if err != nil || c.Tree.N != 303 || subject(t, n, "signature of "+n).Check(got) != nil {
			t.Errorf("%s: %+v, %v", n, got, err)
		}
		if _, _, err := by.Verify(r); err == nil {
			t.Error("another log's key verifies it")
		}
		receipts = append(receipts, r)
	}
	if found, err := subject(t, "a1", "signature of a1").Find(w.path); err != nil || found.Record.Seq != 1 || found.Again != 1 {
		t.Errorf("%+v, %v", found, err)
	}
	for _, bad := range []tree.Receipt{
		{Record: receipts[0].Record, Proof: receipts[1].Proof},
		{Record: strings.Replace(receipts[0].Record, `"ci"`, `"di"`, 1), Proof: receipts[0].Proof},
		{Record: receipts[0].Record, Proof: strings.Replace(receipts[0].Proof, "index 3", "index 4", 1)},
		{Record: receipts[0].Record, Proof: strings.Replace(receipts[0].Proof, "\n303\n", "\n304\n", 1)},
		{Record: receipts[0].Record},
	} {
		if _, _, err := w.trust().Verify(bad); err == nil {
			t.Errorf("%+v verifies", bad)
		}
	}
	if _, err := subject(t, "another file", "signature of a4").Find(w.path); !errors.Is(err, ErrOtherFile) {
		t.Errorf("another file: %v", err)
	}
	if _, err := subject(t, "a4", "another").Find(w.path); !errors.Is(err, ErrNoRecord) {
		t.Errorf("another signature: %v", err)
	}
}
