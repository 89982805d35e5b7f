package query

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hsmgate/hsmgate/gateway/audit"
)

// small is the size of blocks in tests: many of them without many records.
const small = 64

var begun = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// made is the record number n of a log of few callers, keys and artifacts, so that questions find some.
func made(n int, rnd *rand.Rand) audit.Record {
	pick := func(of string, n int) string { return fmt.Sprintf(of, rnd.IntN(n)) }
	sum := func(of string, n int) string {
		return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(pick(of, n))))
	}
	key := pick("0000000%d-aaaa", 5)
	r := audit.Record{
		Time: begun.Add(time.Duration(n)*time.Minute - time.Duration(rnd.IntN(90))*time.Second), RequestID: fmt.Sprintf("request-%d", n),
		Principal: pick("arn:aws:iam::111122223333:user/u%d", 12), SourceAddress: pick("10.0.0.%d", 9),
		Operation: []string{"Sign", "Sign", "Verify", "ReEncrypt", "ListKeys"}[rnd.IntN(5)],
		Outcome:   []string{"allowed", "allowed", "denied", "invalid", "failed"}[rnd.IntN(5)],
		Reason:    pick("key-policy/S%d", 4), Resource: pick("arn:aws:kms:eu:111122223333:alias/a%d", 3),
	}
	if rnd.IntN(2) == 0 { // others come by a certificate
		r.CredentialID = pick("AKIA%d", 20)
	}
	if rnd.IntN(3) == 0 {
		r.Principal = pick("arn:aws:sts::111122223333:assumed-role/ci/job-%d", 400)
	}
	if r.Operation == "ReEncrypt" {
		r.SourceKeyARN, r.SourceReason = "arn:aws:kms:eu:111122223333:key/"+pick("0000000%d-aaaa", 5), pick("grant/g%d", 3)
	}
	if r.Operation != "ListKeys" {
		r.KeyID, r.KeyARN, r.KeyVersion = key, "arn:aws:kms:eu:111122223333:key/"+key, 1+rnd.IntN(3)
		r.Digest, r.SignatureHash = sum("file %d", 300), sum("signature %d", 3000)
	}
	if rnd.IntN(4) == 0 {
		r.ArtifactName, r.ArtifactVersion, r.ArtifactDigest = pick("app%d", 6), pick("1.%d", 5), sum("file %d", 300)
	}
	if rnd.IntN(50) == 0 { // longer than a block keeps
		r.ArtifactName = strings.Repeat("long", 70) + pick("%d", 4)
	}
	return r
}

// grow appends n records of the log at path, as the daemon would.
func grow(t testing.TB, path string, n int, rnd *rand.Rand) {
	t.Helper()
	l, err := audit.Open(path, audit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	from := int(l.Head().Seq)
	records := make([]audit.Record, n)
	for i := range records {
		records[i] = made(from+i+1, rnd)
	}
	var all errgroup.Group
	all.SetLimit(64)
	for i := range records {
		all.Go(func() error {
			_, err := l.Append(context.Background(), &records[i])
			return err
		})
	}
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// logOf makes a log of n records.
func logOf(t testing.TB, n int, seed uint64) (path string, rnd *rand.Rand) {
	t.Helper()
	path, rnd = filepath.Join(t.TempDir(), "audit.log"), rand.New(rand.NewPCG(seed, 1))
	grow(t, path, n, rnd)
	return path, rnd
}

// whole reads a log.
func whole(t testing.TB, path string) (all []audit.Record) {
	t.Helper()
	r, err := audit.OpenReader(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for {
		line, err := r.Next()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		record, err := line.Record()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, record)
	}
}

func openSmall(t testing.TB, path, dir string) *Index {
	t.Helper()
	x, err := Open(path, Options{Dir: dir, size: small})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = x.Close() })
	return x
}

// numbers are the numbers of the records of an answer.
func numbers(t testing.TB, all func(func(Found, error) bool)) (seqs []uint64) {
	t.Helper()
	for f, err := range all {
		if err != nil {
			t.Fatal(err)
		}
		seqs = append(seqs, f.Record.Seq)
	}
	return seqs
}

// asked compares the answers of the index and of Scan, in both orders, with want.
func asked(t testing.TB, x *Index, path string, q Question, want []uint64) {
	t.Helper()
	for _, newest := range []bool{false, true} {
		if got := numbers(t, x.Find(q, newest)); !slices.Equal(got, want) {
			t.Errorf("%+v, newest %v: the index gives %v, not %v", q, newest, got, want)
		}
		if got := numbers(t, Scan(path, q, newest, nil)); !slices.Equal(got, want) {
			t.Errorf("%+v, newest %v: the scan gives %v, not %v", q, newest, got, want)
		}
		want = slices.Clone(want)
		slices.Reverse(want)
	}
}
