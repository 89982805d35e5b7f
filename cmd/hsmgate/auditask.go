package main

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hsmgate/hsmgate/gateway/audit/query"
)

// asked is what records are asked for, as flags say it.
type asked struct {
	q                         query.Question
	since, until              momentFlag
	artifact, file, signature string
	digests                   []string
}

func (f *asked) flags(c *cobra.Command) {
	c.Flags().StringVar(&f.q.Key, "key", "", "id, ARN, alias or alias ARN of the key, as the call named it")
	c.Flags().StringVar(&f.q.Principal, "principal", "", "ARN of who called, or the end of one (assumed-role/ci/*), or a user's name")
	c.Flags().StringVar(&f.q.Credential, "credential", "", "id of the access key, temporary access key or bearer token that the call was made with")
	c.Flags().StringVar(&f.q.Operation, "operation", "", "such as Sign")
	c.Flags().StringVar(&f.q.Outcome, "outcome", "", "allowed, denied, invalid or failed")
	f.until.end = true
	c.Flags().Var(&f.since, "since", sinceHelp)
	c.Flags().Var(&f.until, "until", untilHelp)
	c.Flags().StringVar(&f.artifact, "artifact", "", "NAME or NAME@VERSION that the caller of Sign stated")
	c.Flags().StringArrayVar(&f.digests, "digest", nil, "sha256:HEX (or sha384, sha512) that was signed or stated; of several, any")
	c.Flags().StringVar(&f.file, "file", "", "a file that was signed: its digests are computed")
	c.Flags().StringVar(&f.signature, "signature", "", "file with a signature, raw or base64: the record of its making")
	c.Flags().StringVar(&f.q.SourceAddress, "source-address", "", "address that the call came from")
	c.Flags().StringVar(&f.q.RequestID, "request-id", "", "id of the request")
	c.Flags().StringVar(&f.q.Statement, "statement", "", "what decided, such as key-policy/Release, policy/NAME/*, grant/ID, role/administrator, or default where nothing allowed")
}

var outcomes = []string{"allowed", "denied", "invalid", "failed"}

// question makes the question of the flags.
func (f *asked) question() (q query.Question, err error) {
	q, now := f.q, time.Now()
	if q.Outcome != "" && !slices.Contains(outcomes, q.Outcome) {
		return q, usagef("--outcome is one of %s, not %q", strings.Join(outcomes, ", "), q.Outcome)
	}
	q.Since, q.Until = f.since.time(now), f.until.time(now)
	if !q.Since.IsZero() && !q.Until.IsZero() && !q.Since.Before(q.Until) {
		return q, usagef("--since is not before --until")
	}
	q.Artifact, q.ArtifactVersion = artifactOf(f.artifact)
	for _, text := range f.digests {
		d, err := digestNamed(text)
		if err != nil {
			return q, err
		}
		q.Digests = append(q.Digests, d)
	}
	if f.file != "" {
		of, err := digestsOf(f.file)
		if err != nil {
			return q, err
		}
		q.Digests = append(q.Digests, of...)
	}
	if f.signature != "" {
		signature, err := readSignature(f.signature)
		if err != nil {
			return q, err
		}
		q.Signature = fmt.Sprintf("sha256:%x", sha256.Sum256(signature))
	}
	return q, nil
}

// artifactOf splits NAME@VERSION at the last @, which a name may begin with.
func artifactOf(text string) (name, version string) {
	if i := strings.LastIndexByte(text, '@'); i > 0 {
		return text[:i], text[i+1:]
	}
	return text, ""
}

// hashes are those whose digests a record may have.
var hashes = []struct {
	name string
	size int
	new  func() hash.Hash
}{{"sha256", sha256.Size, sha256.New}, {"sha384", sha512.Size384, sha512.New384}, {"sha512", sha512.Size, sha512.New}}

// digestNamed reads a digest with or without the name of its hash, which its length tells, too.
func digestNamed(text string) (string, error) {
	name, digits, named := strings.Cut(strings.ToLower(text), ":")
	if !named {
		digits = name
	}
	b, err := hex.DecodeString(digits)
	for _, h := range hashes {
		if err == nil && len(b) == h.size && (!named || name == h.name) {
			return h.name + ":" + digits, nil
		}
	}
	if named && name == "mu" && err == nil && len(b) == 64 { // of ML-DSA
		return "mu:" + digits, nil
	}
	return "", usagef("--digest is such as sha256: and 64 hex digits, not %q", text)
}

// digestsOf computes all digests of a file that the record of its signature may have.
func digestsOf(file string) (all []string, err error) {
	in, err := openInput(file)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	sums, to := make([]hash.Hash, len(hashes)), make([]io.Writer, len(hashes))
	for i, h := range hashes {
		sums[i] = h.new()
		to[i] = sums[i]
	}
	if _, err := io.Copy(io.MultiWriter(to...), in); err != nil {
		return nil, err
	}
	for i, h := range hashes {
		all = append(all, fmt.Sprintf("%s:%x", h.name, sums[i].Sum(nil)))
	}
	return all, nil
}
