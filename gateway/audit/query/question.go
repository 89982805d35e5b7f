package query

import (
	"slices"
	"strings"
	"time"

	"github.com/hsmgate/hsmgate/gateway/audit"
)

// Question is what records are asked for: all of its members that are set have to hold. A text that ends with * stands
// for all that begin so, but for RequestID, Digests and Signature.
type Question struct {
	Key             string // an id, an ARN, an alias (alias/release) or an alias ARN, as the record has it
	Principal       string // an ARN, or what follows the account in it (user/ci), or a user's name
	Credential      string // id of the access key or bearer token that the call was made with
	Operation       string
	Outcome         string // allowed, denied, invalid or failed
	Statement       string // what decided, such as key-policy/Release
	Artifact        string
	ArtifactVersion string
	Digests         []string // "sha256:" and hex: one of them was signed, or stated to be the artifact's
	Signature       string   // "sha256:" and hex, of the signature
	SourceAddress   string
	RequestID       string

	Since, Until time.Time // from Since on, and before Until
}

// Match says whether a record is what is asked for.
func (q Question) Match(r *audit.Record) bool {
	c := q.compile()
	return c.match(r)
}

// compiled is a question as columns see it.
type compiled struct {
	conditions   []condition
	since, until time.Time
}

// condition holds where one of its terms does.
type condition []term

// term is about one column: of texts it asks holds, of hashes whether it is one of sums.
type term struct {
	column int
	holds  func(text string) bool
	sums   []uint32
}

func (q Question) compile() compiled {
	c := compiled{since: q.Since, until: q.Until}
	c.key(q.Key)
	c.text(q.Principal, principalIs, principal)
	c.text(q.Credential, pattern, credential)
	c.text(q.Operation, pattern, operation)
	c.text(q.Outcome, pattern, outcome)
	c.text(q.Statement, pattern, statement, sourceStatement)
	c.text(q.Artifact, pattern, artifactName)
	c.text(q.ArtifactVersion, pattern, artifactVersion)
	c.text(q.SourceAddress, pattern, sourceAddress)
	c.sum(q.Digests, digest, artifactDigest)
	c.sum(some(q.Signature), signature)
	c.sum(some(q.RequestID), requestID)
	return c
}

func some(text string) []string {
	if text == "" {
		return nil
	}
	return []string{text}
}

// text adds a condition: one of the columns is as a text says.
func (c *compiled) text(text string, is func(string) func(string) bool, columns ...int) {
	if text == "" {
		return
	}
	var some condition
	for _, i := range columns {
		some = append(some, term{column: i, holds: is(text)})
	}
	c.conditions = append(c.conditions, some)
}

// sum adds a condition: one of the columns is one of the texts.
func (c *compiled) sum(texts []string, columns ...int) {
	if len(texts) == 0 {
		return
	}
	var sums []uint32
	for _, text := range texts {
		sums = append(sums, sumOf(text))
	}
	var some condition
	for _, i := range columns {
		some = append(some, term{column: i, holds: func(text string) bool { return slices.Contains(texts, text) }, sums: sums})
	}
	c.conditions = append(c.conditions, some)
}

// key adds the condition that a record is about a key: the one of its call, the one that ReEncrypt decrypts with, or the one that the caller named.
func (c *compiled) key(text string) {
	if text == "" {
		return
	}
	named := pattern(text)
	inARN := func(arn string) bool { return named(arn) || named(lastOf(arn)) }
	c.conditions = append(c.conditions, condition{
		{column: keyID, holds: named}, {column: keyARN, holds: inARN}, {column: sourceKeyARN, holds: inARN}, {column: resource, holds: inARN},
	})
}

// lastOf is the id in the ARN of a key, and the name in the ARN of an alias.
func lastOf(arn string) string {
	name := arn[strings.LastIndexByte(arn, ':')+1:]
	return strings.TrimPrefix(name, "key/")
}

// pattern makes the comparison with a text, which stands for a beginning if it ends with *.
func pattern(text string) func(string) bool {
	if start, ok := strings.CutSuffix(text, "*"); ok {
		return func(s string) bool { return s != "" && strings.HasPrefix(s, start) }
	}
	return func(s string) bool { return s == text }
}

// principalIs compares ARNs with an ARN, the end of one, or the name of a user.
func principalIs(text string) func(string) bool {
	whole, end, user := pattern(text), pattern(text), pattern("user/"+text)
	if strings.HasPrefix(text, "arn:") {
		return whole
	}
	return func(arn string) bool {
		last := arn
		for range 5 {
			if _, rest, more := strings.Cut(last, ":"); more {
				last = rest
			}
		}
		return whole(arn) || end(last) || user(last)
	}
}

func (c *compiled) match(r *audit.Record) bool {
	return c.during(r.Time) && c.all(func(t term) bool { return t.holds(columns[t.column].of(r)) })
}

// maybe says whether the record could be taken for a match by its columns, which know less than it.
func (c *compiled) maybe(r *audit.Record) bool {
	return c.during(r.Time) && c.all(func(t term) bool {
		text := columns[t.column].of(r)
		if columns[t.column].hashed {
			return slices.Contains(t.sums, sumOf(text))
		}
		return len(text) > maxName || t.holds(text)
	})
}

func (c *compiled) during(t time.Time) bool {
	return (c.since.IsZero() || !t.Before(c.since)) && (c.until.IsZero() || t.Before(c.until))
}

func (c *compiled) all(holds func(term) bool) bool {
	for _, some := range c.conditions {
		if !slices.ContainsFunc(some, holds) {
			return false
		}
	}
	return true
}
