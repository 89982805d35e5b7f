package query

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/hsmgate/hsmgate/gateway/audit"
)

// row is what columns have of a record. The texts are good as long as its line.
type row struct {
	at    int64 // nanoseconds since 1970
	texts [columnCount][]byte
}

// rowOf reads a line. It is what building an index takes its time for, so that a line as the log writes it is read without decoding
// all of it; TestRows compares the two ways.
func (l *log) rowOf(line audit.Line, r *row) error {
	if r.scan(line.Text) {
		return nil
	}
	record, err := l.record(line)
	if err == nil {
		*r = rowOfRecord(&record)
	}
	return err
}

func rowOfRecord(record *audit.Record) (r row) {
	r.at = nanos(record.Time)
	for i := range columns {
		r.texts[i] = []byte(columns[i].of(record))
	}
	return r
}

// scan reads a line that is one object of texts, numbers, truths, and objects of such; false if it is not.
func (r *row) scan(p []byte) bool {
	*r = row{}
	if len(p) == 0 || p[0] != '{' {
		return false
	}
	timed := false
	for more := true; more; {
		name, rest, ok := quoted(p[1:])
		if !ok || len(rest) < 2 || rest[0] != ':' {
			return false
		}
		p = rest[1:]
		i, isColumn := columnNamed[string(name)]
		switch isTime := string(name) == "time"; {
		case isColumn || isTime:
			text, rest, ok := quoted(p)
			if !ok {
				return false
			}
			if text, ok = unescaped(text, p); !ok {
				return false
			}
			if p = rest; isColumn {
				r.texts[i] = text
				break
			}
			at, err := time.Parse(time.RFC3339Nano, string(text))
			r.at, timed = nanos(at), err == nil
		default:
			if p, ok = skip(p); !ok {
				return false
			}
		}
		if len(p) == 0 || p[0] != ',' && p[0] != '}' {
			return false
		}
		more = p[0] == ','
	}
	return timed && len(p) == 1
}

// quoted gives the inside of the JSON text that p begins with, and what follows it.
func quoted(p []byte) (text, rest []byte, ok bool) {
	if len(p) == 0 || p[0] != '"' {
		return nil, nil, false
	}
	for i := 1; ; {
		end := bytes.IndexByte(p[i:], '"')
		if end < 0 {
			return nil, nil, false
		}
		end += i
		escapes := 0
		for p[end-1-escapes] == '\\' {
			escapes++
		}
		if i = end + 1; escapes%2 == 0 {
			return p[1:end], p[i:], true
		}
	}
}

// unescaped is the text whose inside is given, and which p begins with.
func unescaped(text, p []byte) ([]byte, bool) {
	if bytes.IndexByte(text, '\\') < 0 {
		return text, true
	}
	var s string
	err := json.Unmarshal(p[:len(text)+2], &s)
	return []byte(s), err == nil
}

// skip gives what follows the value that p begins with.
func skip(p []byte) ([]byte, bool) {
	for depth := 0; len(p) > 0; {
		switch c := p[0]; {
		case c == '"':
			_, rest, ok := quoted(p)
			if !ok {
				return nil, false
			}
			p = rest
			continue
		case c == '{' || c == '[':
			depth++
		case depth == 0 && (c == ',' || c == '}'):
			return p, true
		case c == '}' || c == ']':
			depth--
		}
		p = p[1:]
	}
	return nil, false
}
