package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Error says where in a policy's text something is wrong, and what would be
// right there.
type Error struct {
	Line   int // from 1
	Column int // from 1, in bytes
	Offset int // from 0, in bytes of the whole text
	Text   string
}

func (e *Error) Error() string {
	return fmt.Sprintf("policy: line %d, column %d: %s", e.Line, e.Column, e.Text)
}

// node is a JSON value and where it starts.
type node struct {
	at      int
	kind    byte // { [ " 0 t f n: the token's kind
	text    string
	members []entry
	items   []*node
}

type entry struct {
	at    int
	name  string
	value *node
}

// reader makes nodes of a text.
type reader struct {
	text []byte
	dec  *json.Decoder
}

func (r *reader) fail(at int, format string, args ...any) *Error {
	at = min(at, len(r.text))
	before := r.text[:at]
	line := bytes.Count(before, []byte("\n")) + 1
	return &Error{Line: line, Column: at - (bytes.LastIndexByte(before, '\n') + 1) + 1, Offset: at, Text: fmt.Sprintf(format, args...)}
}

// maxDepth is more than any policy needs.
const maxDepth = 16

// read reads the whole text. What encoding/json lets pass and a policy may not
// have, a duplicate member or a character that KMS refuses, is an error too.
func (r *reader) read() (*node, *Error) {
	if at := badUTF8(r.text); at >= 0 {
		return nil, r.fail(at, "the text is not UTF-8")
	}
	var whole json.RawMessage
	if err := json.Unmarshal(r.text, &whole); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			at := max(int(syntax.Offset)-1, 0) // Offset is behind the character that is wrong
			if syntax.Error() == "unexpected end of JSON input" {
				at = len(r.text)
			}
			return nil, r.fail(at, "not JSON: %s", syntax.Error())
		}
		return nil, r.fail(0, "not JSON: %s", err)
	}
	r.dec = json.NewDecoder(bytes.NewReader(r.text))
	r.dec.UseNumber()
	return r.value(0)
}

// next is where the next token starts.
func (r *reader) next() int {
	at := int(r.dec.InputOffset())
	for at < len(r.text) && bytes.IndexByte([]byte(" \t\r\n,:"), r.text[at]) >= 0 {
		at++
	}
	return at
}

func (r *reader) value(depth int) (*node, *Error) {
	at := r.next()
	if depth > maxDepth {
		return nil, r.fail(at, "values are nested deeper than any policy needs")
	}
	t, err := r.dec.Token()
	if err != nil {
		return nil, r.broken(at, err)
	}
	switch t := t.(type) {
	case json.Delim:
		if t == '[' {
			return r.array(at, depth)
		}
		return r.object(at, depth)
	case string:
		return &node{at: at, kind: '"', text: t}, r.characters(at, t)
	case json.Number:
		return &node{at: at, kind: '0', text: t.String()}, nil
	case bool:
		return &node{at: at, kind: 't', text: fmt.Sprint(t)}, nil
	}
	return &node{at: at, kind: 'n', text: "null"}, nil
}

func (r *reader) broken(at int, err error) *Error {
	if errors.Is(err, io.EOF) {
		return r.fail(at, "not JSON: the text ends too early")
	}
	return r.fail(at, "not JSON: %s", err)
}

func (r *reader) array(at, depth int) (*node, *Error) {
	n := &node{at: at, kind: '['}
	for r.dec.More() {
		item, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		n.items = append(n.items, item)
	}
	if _, err := r.dec.Token(); err != nil {
		return nil, r.broken(r.next(), err)
	}
	return n, nil
}

func (r *reader) object(at, depth int) (*node, *Error) {
	n := &node{at: at, kind: '{'}
	seen := make(map[string]bool)
	for r.dec.More() {
		name, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		if seen[name.text] {
			return nil, r.fail(name.at, "%s is there twice: one %s with all values would be right", quoted(name.text), printable(name.text))
		}
		seen[name.text] = true
		v, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		n.members = append(n.members, entry{at: name.at, name: name.text, value: v})
	}
	if _, err := r.dec.Token(); err != nil {
		return nil, r.broken(r.next(), err)
	}
	return n, nil
}

// characters refuses what a policy may not contain (KMS Developer Guide,
// key-policy-overview, Key policy format).
func (r *reader) characters(at int, s string) *Error {
	for _, c := range s {
		if c != '\t' && c != '\n' && c != '\r' && (c < ' ' || c > 0xff) {
			return r.fail(at, "the text has the character %U: tab, line feed, carriage return and U+0020 to U+00FF would be right", c)
		}
	}
	return nil
}

// what names the kind of a value in an error.
func (n *node) what() string {
	switch n.kind {
	case '{':
		return "an object"
	case '[':
		return "a list"
	case '"':
		return "a text"
	case '0':
		return "a number"
	case 't':
		return "a boolean"
	}
	return "null"
}
