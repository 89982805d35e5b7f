package audit

import (
	"context"
	"encoding/json"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
	"unsafe"
)

// TestMemoryGivesWhatTheFileHolds: who follows closely must not see another record than who reads the log later.
func TestMemoryGivesWhatTheFileHolds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	l := open(t, path, Options{})
	east := sample(1)
	east.Time = time.Now().In(time.FixedZone("east", 3600))
	records := []*Record{sample(0), east, {Operation: "without a time"}, longest(t)}
	for _, s := range []string{"a", "é😀", `"\/<>&'`, "\x00\x1f\b", "\xff\xfe", "\u2028", "�", `\ufffd`, " [cut, ", strings.Repeat("ü", MaxText)} {
		r := fill(s, 3)
		records = append(records, &r)
	}
	fromMemory := 0
	for i, r := range records {
		if _, err := l.Append(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		lines := l.recent.after(uint64(i))
		if len(lines) != 1 {
			t.Fatalf("record %d: %d lines in memory", i+1, len(lines))
		}
		got, err := lines[0].Record()
		if err != nil {
			t.Fatal(err)
		}
		if lines[0].record != nil {
			fromMemory++
		}
		var want Record
		if err := json.Unmarshal(lines[0].Text, &want); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("record %d, %v:\n got %+v\nwant %+v", i+1, err, got, want)
		}
	}
	if fromMemory < 6 {
		t.Errorf("only %d records were kept in memory", fromMemory)
	}
	r := reader(t, path, 1)
	for i := range records {
		want, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if got := l.recent.after(uint64(i))[0]; got.Seq != want.Seq || got.Hash != want.Hash || got.Prev != want.Prev || string(got.Text) != string(want.Text) {
			t.Errorf("memory has %+v, the file %+v", got, want)
		}
	}
}

// TestFollowFallsBehindAndCatchesUp: from memory to the files and back.
func TestFollowFallsBehindAndCatchesUp(t *testing.T) {
	l := open(t, filepath.Join(t.TempDir(), "audit.log"), Options{})
	long := sample(0)
	long.UserAgent = strings.Repeat("x", MaxText)
	const phase = 1200 // more than memory holds
	var sources []bool // of each batch: whether it came from memory
	var next uint64 = 1
	appended := 0
	more := func(n int) {
		t.Helper()
		for range n {
			if _, err := l.Append(t.Context(), long); err != nil {
				t.Fatal(err)
			}
		}
		appended += n
	}
	more(1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := l.Follow(ctx, 0, func(batch []Line) error {
		for _, line := range batch {
			if line.Seq != next {
				t.Fatalf("record %d in place of %d", line.Seq, next)
			}
			next++
		}
		sources = append(sources, batch[0].record != nil)
		switch {
		case appended == 1:
			more(phase) // while this one is busy
		case next <= uint64(appended):
		case appended == 1+phase:
			more(1)
		default:
			cancel()
		}
		return nil
	})
	if err != nil || next != uint64(appended)+1 {
		t.Fatal(err, next, appended)
	}
	first, last, files := sources[0], sources[len(sources)-1], false
	for _, memory := range sources {
		files = files || !memory
	}
	if !first || !files || !last {
		t.Errorf("batches from memory: %v; want the first and the last, and not all", sources)
	}
	if size := l.recent.bytes; size > 2*minRecent || len(l.recent.lines) > 2*minRecent/MaxText {
		t.Errorf("%d bytes of %d records are in memory", size, len(l.recent.lines))
	}
}

// TestMemoryForgetsAnotherChain: what follows another record than the last one begins anew.
func TestMemoryForgetsAnotherChain(t *testing.T) {
	var r recent
	a, b := Line{Seq: 1, Hash: hash{1}, Text: []byte("a")}, Line{Seq: 2, Prev: hash{1}, Hash: hash{2}, Text: []byte("b")}
	r.add([]placed{{line: a}})
	r.add([]placed{{line: b}})
	if n := len(r.after(0)); n != 2 {
		t.Fatal(n)
	}
	r.add([]placed{{line: Line{Seq: 3, Prev: hash{7}, Text: []byte("c")}}})
	if r.after(0) != nil || r.after(1) != nil || len(r.after(2)) != 1 || r.after(3) != nil || r.bytes != 1 {
		t.Fatalf("%+v", r)
	}
}

// TestMemoryHoldsNoRequest: texts of a record are often parts of a request, which may be long.
func TestMemoryHoldsNoRequest(t *testing.T) {
	const text = "text"
	of := fill(text, 3)
	kept := asWritten(&of, nil)
	was, is := reflect.ValueOf(of), reflect.ValueOf(*kept)
	if !reflect.DeepEqual(of, *kept) {
		t.Errorf("%+v", kept)
	}
	seen := 0
	for i := range was.NumField() {
		name := was.Type().Field(i).Name
		switch was.Field(i).Kind() {
		case reflect.String:
			seen++
			if unsafe.StringData(was.Field(i).String()) == unsafe.StringData(is.Field(i).String()) {
				t.Errorf("%s is shared", name)
			}
		case reflect.Map:
			seen++
			for k, v := range is.Field(i).Seq2() {
				if unsafe.StringData(k.String()) == unsafe.StringData(text) || unsafe.StringData(v.String()) == unsafe.StringData(text) || is.Field(i).Pointer() == was.Field(i).Pointer() {
					t.Errorf("%s is shared", name)
				}
			}
		}
	}
	if seen < 40 {
		t.Errorf("%d members were compared", seen)
	}
}
