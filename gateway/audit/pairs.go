package audit

import (
	"maps"
	"slices"
	"strconv"
)

// MaxPairs is the most bytes, of names and values together, that a record keeps of an encryption context. Of a longer one it
// keeps the first by name, and says how many there were.
const MaxPairs = 8192

// appendPairs appends the member whose name and colon are given as an object sorted by name, or nothing for no pairs.
func appendPairs(b []byte, name string, pairs map[string]string) []byte {
	if len(pairs) == 0 {
		return b
	}
	b = append(append(b, name...), '{')
	size := 0
	for i, k := range slices.Sorted(maps.Keys(pairs)) {
		if size += len(k) + len(pairs[k]); i > 0 {
			b = append(b, ',')
		}
		if size > MaxPairs {
			b = append(append(b, '"'), cutMark...)
			b = strconv.AppendInt(b, int64(len(pairs)), 10)
			b = append(b, ` pairs]":""`...)
			break
		}
		b = append(appendEscaped(append(b, '"'), k), `":"`...)
		b = append(appendEscaped(b, pairs[k]), '"')
	}
	return append(b, '}')
}
