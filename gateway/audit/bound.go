package audit

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// MaxLine is the longest line that the log writes: what an entry bundle of c2sp.org/tlog-tiles can hold.
const MaxLine = 1<<16 - 1

// maxBody is what a body may have of it; the rest is for number and hash.
const maxBody = MaxLine - maxStart

// Of a record that would be longer, each text and each map keeps the beginning.
const (
	shortText  = 128
	shortPairs = 512
)

// appendBounded appends the body of a record. Callers choose many of its texts, and none of them may be long enough
// for the line alone; together they may, if each byte is escaped. Then all are cut, and say so.
func appendBounded(b []byte, r *Record) []byte {
	start := len(b)
	if b = appendBody(b, r); len(b)-start <= maxBody {
		return b
	}
	return appendBody(b[:start], shortened(r))
}

func shortened(r *Record) *Record {
	short := *r
	members := reflect.ValueOf(&short).Elem()
	for i := range members.NumField() {
		switch m := members.Field(i); v := m.Interface().(type) {
		case string:
			m.SetString(shorten(v))
		case map[string]string:
			m.Set(reflect.ValueOf(shortenPairs(v)))
		}
	}
	return &short
}

func shorten(s string) string {
	if len(s) <= shortText {
		return s
	}
	return fmt.Sprintf("%s%s%d bytes]", strings.ToValidUTF8(s[:shortText], ""), cutMark, len(s))
}

// shortenPairs keeps the first pairs by name, as appendPairs does.
func shortenPairs(pairs map[string]string) map[string]string {
	short, size := make(map[string]string), 0
	for _, k := range slices.Sorted(maps.Keys(pairs)) {
		if size += len(k) + len(pairs[k]); size > shortPairs {
			short[fmt.Sprintf("%s%d pairs]", cutMark, len(pairs))] = ""
			break
		}
		short[k] = pairs[k]
	}
	return short
}
