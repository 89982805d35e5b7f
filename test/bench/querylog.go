package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hsmgate/hsmgate/gateway/audit"
)

// madeSince is when the first made record is dated; each further one is two seconds later.
var madeSince = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// logRun asks for a made log.
type logRun struct {
	Path    string
	Records int
}

// makeLog has a process of its own make a log: a thread of the log's ends with it, and the kernel would take that for the death of
// the parent of the other processes.
func makeLog(path string, n int) error {
	c, err := startChild("log")
	if err != nil {
		return err
	}
	defer c.stop()
	var done bool
	return c.ask(logRun{path, n}, &done)
}

func logCommand(line json.RawMessage) (any, error) {
	var run logRun
	if err := json.Unmarshal(line, &run); err != nil {
		return nil, err
	}
	return true, growLog(context.Background(), run.Path, run.Records)
}

// growLog lets a log grow to n records, through the writer that the daemon has.
func growLog(ctx context.Context, path string, n int) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	l, err := audit.Open(path, audit.Options{Timeout: time.Minute})
	if err != nil {
		return err
	}
	const callers = 512 // so many records share a sync
	var all errgroup.Group
	from := int(l.Head().Seq)
	for c := range callers {
		all.Go(func() error {
			for i := from + c; i < n; i += callers {
				r := madeRecord(i)
				if _, err := l.Append(ctx, &r); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := all.Wait(); err != nil {
		return err
	}
	return l.Close()
}

func hashText(format string, n int) string {
	return fmt.Sprintf("sha256:%x", sha256.Sum256(fmt.Appendf(nil, format, n)))
}

// madeRecord is the record of a signature, as a busy gateway has them: 1,000 keys, 200 pipelines with a session name for each of 50 jobs, artifacts with
// versions. One call in 50 is denied.
func madeRecord(n int) audit.Record {
	mix := int(uint32(n)*2654435761>>8) + n/7
	key := fmt.Sprintf("%08x-1234-4abc-8def-%012x", mix%1000, mix%1000)
	r := audit.Record{
		Time: madeSince.Add(time.Duration(n) * 2 * time.Second), Origin: "hsmgate-1", RequestID: fmt.Sprintf("%08x-5678-4abc-9def-%012x", n*31, n),
		Face: "rest", Principal: fmt.Sprintf("arn:aws:sts::111122223333:assumed-role/release-%d/job-%d", mix%200, n%50), SourceAddress: fmt.Sprintf("10.1.%d.%d", mix%4, n%250),
		UserAgent: "hsmgate/1.0", Operation: "Sign", Resource: fmt.Sprintf("arn:aws:kms:us-east-1:111122223333:alias/release-%d", mix%1000),
		KeyID: key, KeyARN: "arn:aws:kms:us-east-1:111122223333:key/" + key, KeyVersion: 1 + n/4_000_000, Algorithm: "ECDSA_SHA_256", MessageType: "DIGEST",
		Provider: "ci", Subject: fmt.Sprintf("project_path:group/project-%d:ref:main", mix%200), Outcome: "allowed", Reason: fmt.Sprintf("key-policy/Release%d", mix%20), LatencyMicros: int64(200 + mix%900),
		ArtifactName: fmt.Sprintf("app-%d", mix%500), ArtifactVersion: fmt.Sprintf("1.%d.%d", n/100_000, mix%50),
		Digest: hashText("file %d", n), ArtifactDigest: hashText("file %d", n), SignatureHash: hashText("signature %d", n),
	}
	if n%50 == 49 {
		r.Outcome, r.ErrorCode, r.Reason, r.SignatureHash, r.Digest, r.KeyVersion = "denied", "AccessDeniedException", "default", "", "", 0
	}
	return r
}

// madeQuestions are what is usually asked, each with an answer but for the last one, which has to look everywhere.
func madeQuestions(n int) [][]string {
	at := n/3 - (n/3)%50 // is no denial
	r := madeRecord(at)
	day := r.Time.Format("2006-01-02")
	return [][]string{
		{"--digest", r.Digest},
		{"--request-id", r.RequestID},
		{"--key", r.KeyID, "--operation", "Sign"},
		{"--key", r.Resource, "--since", day, "--until", day, "--oldest"},
		{"--artifact", r.ArtifactName + "@" + r.ArtifactVersion},
		{"--principal", "assumed-role/release-7/*", "--outcome", "denied"},
		{"--principal", r.Principal, "--key", r.KeyID, "--oldest", "--limit", "10"},
		{"--source-address", r.SourceAddress, "--statement", r.Reason, "--until", day},
		{"--digest", hashText("nobody signed %d", n)},
	}
}

// print writes the part of the report for a person.
func (p *queryPart) print(w io.Writer) {
	fmt.Fprintf(w, "\na made log of %d records (appended in %.0f s): %.0f bytes a record, its index %.0f\n", p.Records, p.AppendSeconds, p.LogBytes, p.IndexBytes)
	for _, b := range p.Build {
		fmt.Fprintf(w, "index of %d records: %.1f s (%.1f s of CPU), %.0f MB of memory\n", b.Records, b.Seconds, b.CPU, b.RSS)
	}
	fmt.Fprintf(w, "memory over that of a tenth: %.2f, goal %.2f: %s\n\n", p.MemoryGoal.Is, p.MemoryGoal.Limit, mark(p.MemoryGoal))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "found\tcold ms\twarm ms\tCPU ms\tMB\t  question")
	for _, q := range p.Questions {
		question := q.Question
		if len(question) > 90 {
			question = question[:89] + "…"
		}
		fmt.Fprintf(t, "%d\t%.0f\t%.0f\t%.0f\t%.0f\t  %s\n", q.Found, q.Cold, q.Warm, q.CPU, q.RSS, question)
	}
	_ = t.Flush()
	fmt.Fprintf(w, "slowest: %.2f s, goal %.1f s: %s\n", p.Goal.Is, p.Goal.Limit, mark(p.Goal))
}
