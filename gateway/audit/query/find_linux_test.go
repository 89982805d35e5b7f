package query

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/audit"
)

// naive is what a question means, said once more in plain words.
func naive(q Question, r audit.Record) bool {
	is := func(want, have string) bool {
		if start, ok := strings.CutSuffix(want, "*"); ok {
			return have != "" && strings.HasPrefix(have, start)
		}
		return want == have
	}
	return (q.Key == "" || is(q.Key, r.KeyID) || is(q.Key, r.KeyARN) || is(q.Key, r.SourceKeyARN) || is(q.Key, r.Resource) ||
		is(q.Key, strings.TrimPrefix(r.SourceKeyARN, "arn:aws:kms:eu:111122223333:key/")) || is(q.Key, strings.TrimPrefix(r.Resource, "arn:aws:kms:eu:111122223333:"))) &&
		(q.Principal == "" || is(q.Principal, r.Principal) || is("arn:aws:iam::111122223333:user/"+q.Principal, r.Principal) ||
			is("arn:aws:iam::111122223333:"+q.Principal, r.Principal) || is("arn:aws:sts::111122223333:"+q.Principal, r.Principal)) &&
		(q.Credential == "" || is(q.Credential, r.CredentialID)) &&
		(q.Operation == "" || is(q.Operation, r.Operation)) && (q.Outcome == "" || is(q.Outcome, r.Outcome)) &&
		(q.Statement == "" || is(q.Statement, r.Reason) || is(q.Statement, r.SourceReason)) &&
		(q.Artifact == "" || is(q.Artifact, r.ArtifactName)) && (q.ArtifactVersion == "" || is(q.ArtifactVersion, r.ArtifactVersion)) &&
		(len(q.Digests) == 0 || slices.Contains(q.Digests, r.Digest) || slices.Contains(q.Digests, r.ArtifactDigest)) &&
		(q.Signature == "" || q.Signature == r.SignatureHash) && (q.RequestID == "" || q.RequestID == r.RequestID) &&
		(q.SourceAddress == "" || is(q.SourceAddress, r.SourceAddress)) &&
		(q.Since.IsZero() || !r.Time.Before(q.Since)) && (q.Until.IsZero() || r.Time.Before(q.Until))
}

func expected(all []audit.Record, q Question) (seqs []uint64) {
	for _, r := range all {
		if naive(q, r) {
			seqs = append(seqs, r.Seq)
		}
	}
	return seqs
}

// question makes a question, mostly about something that a record has.
func question(rnd *rand.Rand, all []audit.Record) (q Question) {
	r := all[rnd.IntN(len(all))]
	other := all[rnd.IntN(len(all))]
	parts := []func(){
		func() {
			q.Key = []string{r.KeyID, r.KeyARN, r.Resource, "alias/a1", "0000000*", r.SourceKeyARN}[rnd.IntN(6)]
		},
		func() {
			q.Principal = []string{r.Principal, "user/u3", "u4", "assumed-role/ci/*", "arn:aws:sts:*", "nobody"}[rnd.IntN(6)]
		},
		func() { q.Credential = []string{r.CredentialID, "AKIA1*", "AKIA7"}[rnd.IntN(3)] },
		func() { q.Operation = []string{r.Operation, "Re*", "Nothing"}[rnd.IntN(3)] },
		func() { q.Outcome = other.Outcome },
		func() { q.Statement = []string{r.Reason, "grant/*", "key-policy/S1", r.SourceReason}[rnd.IntN(4)] },
		func() { q.Artifact = []string{r.ArtifactName, "app*", "long*", other.ArtifactName}[rnd.IntN(4)] },
		func() { q.ArtifactVersion = r.ArtifactVersion },
		func() { q.Digests = []string{r.Digest, other.ArtifactDigest, "sha256:00"} },
		func() { q.Signature = r.SignatureHash },
		func() { q.RequestID = r.RequestID },
		func() { q.SourceAddress = []string{r.SourceAddress, "10.0.*"}[rnd.IntN(2)] },
		func() { q.Since = other.Time },
		func() { q.Until = r.Time.Add(time.Duration(rnd.IntN(2000)) * time.Minute) },
	}
	for range 1 + rnd.IntN(3) {
		parts[rnd.IntN(len(parts))]()
	}
	return q
}

// TestAnswersAreThoseOfAScan asks hundreds of questions of a log that grows between them, with one index all the time.
func TestAnswersAreThoseOfAScan(t *testing.T) {
	path, rnd := logOf(t, 3*small/2, 7)
	dir, found := t.TempDir(), 0
	for range 8 {
		all := whole(t, path)
		x := openSmall(t, path, dir)
		for range 30 {
			q := question(rnd, all)
			want := expected(all, q)
			found += min(len(want), 1)
			asked(t, x, path, q, want)
		}
		grow(t, path, rnd.IntN(2*small), rnd)
	}
	if found < 120 {
		t.Errorf("only %d questions have an answer", found)
	}
}

// TestEndsOfTime: a bound is met exactly, and years that no clock has are no trouble.
func TestEndsOfTime(t *testing.T) {
	path, _ := logOf(t, 2*small, 8)
	all := whole(t, path)
	x := openSmall(t, path, t.TempDir())
	for _, r := range all[:20] {
		q := Question{Since: r.Time, Until: r.Time.Add(time.Nanosecond)}
		asked(t, x, path, q, expected(all, q))
	}
	for _, year := range []int{1, 1500, 2500, 9999} {
		at := time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)
		asked(t, x, path, Question{Since: at}, expected(all, Question{Since: at}))
		asked(t, x, path, Question{Until: at}, expected(all, Question{Until: at}))
	}
}

// TestEmptyLog has nothing, and is no error.
func TestEmptyLog(t *testing.T) {
	path, rnd := logOf(t, 0, 9)
	dir := t.TempDir()
	x := openSmall(t, path, dir)
	asked(t, x, path, Question{}, nil)
	grow(t, path, 1, rnd)
	asked(t, openSmall(t, path, dir), path, Question{}, []uint64{1})
}

// TestFirst stops at the limit and says whether there are more.
func TestFirst(t *testing.T) {
	path, _ := logOf(t, 5*small+7, 10)
	x := openSmall(t, path, t.TempDir())
	for _, limit := range []int{1, chunkSize - 1, chunkSize, chunkSize + 1, 5*small + 6, 5*small + 7, 5*small + 8} {
		for _, newest := range []bool{true, false} {
			found, more, untrue, err := x.First(Question{}, newest, limit)
			if want := min(limit, 5*small+7); err != nil || untrue || len(found) != want || more != (limit < 5*small+7) {
				t.Errorf("limit %d: %d, more %v, untrue %v, %v", limit, len(found), more, untrue, err)
			}
			if first := map[bool]uint64{true: 5*small + 7, false: 1}[newest]; found[0].Record.Seq != first {
				t.Errorf("the first is %d", found[0].Record.Seq)
			}
		}
	}
	found, _, _, err := x.First(Question{RequestID: "request-70"}, true, 1)
	if err != nil || len(found) != 1 || fmt.Sprint(found[0].Record.RequestID) != "request-70" || found[0].Receipt.Hash == "" ||
		!strings.Contains(string(found[0].Text), found[0].Record.Prev) {
		t.Errorf("%+v %v", found, err)
	}
}
