package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// sample is a record as a Sign call leaves it.
func sample(i int) *Record {
	return &Record{Time: time.Date(2026, 3, 4, 5, 6, 7, 123456000, time.UTC).Add(time.Duration(i) * time.Millisecond), RequestID: fmt.Sprintf("9b2c7d52-6a3e-4c11-8d2b-%012d", i),
		Face: "rest", Principal: "arn:aws:iam::000000000000:user/release", SourceAddress: "127.0.0.1:4242", UserAgent: "curl/7.88.1",
		Operation: "Sign", Resource: "alias/release", KeyID: "1234abcd-12ab-34cd-56ef-1234567890ab", KeyARN: "arn:aws:kms:eu-central-1:000000000000:key/1234abcd-12ab-34cd-56ef-1234567890ab",
		KeyVersion: 1, Algorithm: "ECDSA_SHA_256", MessageType: "DIGEST", Digest: "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
		SignatureHash: "sha256:60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752", Outcome: "allowed", LatencyMicros: 412}
}

// std is the line as encoding/json writes it.
func std(t testing.TB, r Record) string {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(r); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func ours(r Record) string {
	prev, _ := Receipt{Hash: r.Prev}.sum()
	return string(appendLine(nil, r.Seq, prev, appendBody(nil, &r)))
}

// fill sets every text to s and every number to n.
func fill(s string, n int64) Record {
	var r Record
	v := reflect.ValueOf(&r).Elem()
	for i := range v.NumField() {
		switch f := v.Field(i); f.Kind() {
		case reflect.String:
			f.SetString(s)
		case reflect.Int, reflect.Int64:
			f.SetInt(n)
		case reflect.Bool:
			f.SetBool(n != 0)
		case reflect.Map:
			f.Set(reflect.ValueOf(map[string]string{s: "z", "n": s}))
		}
	}
	r.Seq, r.Prev, r.Time = 7, strings.Repeat("0a", 32), time.Date(2026, 1, 2, 3, 4, 5, 60, time.UTC)
	return r
}

func TestLineIsThatOfEncodingJSON(t *testing.T) {
	texts := []string{"", "a", "é😀", `"\/<>&'`, "\x00\x01\x1f\x7f\b\f\n\r\t", "\xff\xfe", "a\xc3", "\xed\xa0\x80", "\u2028\u2029", "\ufffd", "a\u2028\xffb\"", strings.Repeat("ü", MaxText/2)}
	for c := range 256 {
		texts = append(texts, "x"+string([]byte{byte(c)})+"y")
	}
	for _, s := range texts {
		for _, n := range []int64{0, 1, -1, 1 << 40} {
			r := fill(s, n)
			if got, want := ours(r), std(t, r); got != want {
				t.Fatalf("%q:\n got %s\nwant %s", s, got, want)
			}
		}
	}
}

func TestLineReadsBack(t *testing.T) {
	r := fill("text", 12)
	r.Time = time.Date(2026, 1, 2, 3, 4, 5, 600, time.FixedZone("east", 3600))
	line := []byte(ours(r))
	var back Record
	if err := json.Unmarshal(line, &back); err != nil {
		t.Fatal(err)
	}
	if !back.Time.Equal(r.Time) || back.Time.Location() != time.UTC {
		t.Fatal(back.Time)
	}
	back.Time = r.Time
	if !reflect.DeepEqual(back, r) {
		t.Fatalf("%+v", back)
	}
	if p, ok := parseLine(line); !ok || !p.whole || p.seq != 7 || p.time.Unix() != r.Time.Unix() || string(line[p.prevAt:p.prevAt+64]) != r.Prev {
		t.Fatalf("%+v", p)
	}
}

func TestLongTextIsCutAndSaysSo(t *testing.T) {
	for shift := range utf8.UTFMax {
		s := strings.Repeat("x", shift) + strings.Repeat("😀", MaxText)
		line := ours(Record{Prev: hash{}.String(), Seq: 1, UserAgent: s, Time: sample(0).Time})
		var back Record
		if err := json.Unmarshal([]byte(line), &back); err != nil {
			t.Fatal(err)
		}
		begin, _, ok := strings.Cut(back.UserAgent, " [cut, ")
		if !ok || !strings.HasPrefix(s, begin) || len(begin) <= MaxText-utf8.UTFMax || len(begin) > MaxText {
			t.Fatal(shift, len(begin), back.UserAgent[len(begin):])
		}
	}
}

// TestManyPairsAreCutAndSayIt: callers choose how many there are.
func TestManyPairsAreCutAndSayIt(t *testing.T) {
	all := map[string]string{}
	for i := range 4096 {
		all[fmt.Sprintf("\x01%03x", i)] = ""
	}
	r := fill(strings.Repeat("\x01", 10*MaxText), -1<<62)
	r.EncryptionContext, r.SourceContext, r.SigningContext = all, all, all
	line := ours(r)
	var back Record
	if err := json.Unmarshal([]byte(line), &back); err != nil {
		t.Fatal(err)
	}
	kept := back.EncryptionContext
	if _, said := kept[" [cut, 4096 pairs]"]; !said || len(kept) != MaxPairs/4+1 {
		t.Fatalf("%d pairs are kept", len(kept))
	}
	r.EncryptionContext = map[string]string{"one": strings.Repeat("x", MaxPairs-3)}
	if line := ours(r); strings.Contains(line[strings.Index(line, "encryptionContext"):], "pairs]\":\"\",\"one") || !strings.Contains(line, `"one":"xxx`) {
		t.Fatal("a context that has room is cut")
	}
}

func TestTimeIsAlwaysThere(t *testing.T) {
	before := time.Now()
	for _, at := range []time.Time{{}, time.Date(12026, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC)} {
		p, ok := parseLine([]byte(ours(Record{Prev: hash{}.String(), Seq: 1, Time: at})))
		if !ok || !p.whole || p.time.Before(before.Truncate(0)) {
			t.Fatalf("%v: %+v", at, p)
		}
	}
}

func FuzzLine(f *testing.F) {
	f.Add("a\xff\u2028\"\\\x00", int64(3))
	f.Fuzz(func(t *testing.T, s string, n int64) {
		if len(s) > MaxText {
			t.Skip("longer texts are cut")
		}
		r := fill(s, n)
		if got, want := ours(r), std(t, r); got != want {
			t.Fatalf("got %s\nwant %s", got, want)
		}
	})
}

func FuzzParseLine(f *testing.F) {
	lines, _ := chain(2)
	f.Add(lines[0])
	f.Add([]byte(`{"seq":18446744073709551616,"prev":"`))
	f.Add(lines[1][:100])
	f.Fuzz(func(t *testing.T, b []byte) {
		p, ok := parseLine(b)
		if ok && (len(b) < p.prevAt+64 || string(b[p.prevAt:p.prevAt+64]) != p.prev.String()) {
			t.Fatalf("prev %v", p.prev)
		}
		if ok && p.whole {
			var m struct{ Seq uint64 }
			if err := json.Unmarshal(b, &m); err != nil {
				t.Fatalf("%q is taken for a record: %v", b, err)
			}
		}
		// Whatever the bytes are, as a log they are reported on, and never taken for a whole one with that head.
		head := Receipt{Seq: 3, Hash: strings.Repeat("ab", 32)}
		if r := verify(t, b, VerifyOptions{Head: &head}); r.Intact() {
			t.Fatalf("%q is intact", b)
		}
	})
}

// TestLineOfAnEarlierVersion: a line without the members that came later is written and read as ever, and verifies.
func TestLineOfAnEarlierVersion(t *testing.T) {
	old := `{"seq":1,"prev":"` + hash{}.String() + `","time":"2026-03-04T05:06:07.1Z","requestId":"9b2c7d52-6a3e-4c11-8d2b-000000000000","face":"aws","principal":"arn:aws:iam::000000000000:user/release",` +
		`"sourceAddress":"127.0.0.1","userAgent":"aws-cli","operation":"Sign","keyId":"1234abcd-12ab-34cd-56ef-1234567890ab","accessKeyId":"AKIAIOSFODNN7EXAMPLE","outcome":"allowed","latencyMicros":4}`
	var r Record
	if err := json.Unmarshal([]byte(old), &r); err != nil || r.CredentialID != "" {
		t.Fatal(r, err)
	}
	if got := ours(r); got != old {
		t.Errorf("got  %s\nwant %s", got, old)
	}
	r.Seq, r.Prev, r.CredentialID = 2, fmt.Sprintf("%x", sha256.Sum256([]byte(old))), "AKIAIOSFODNN7EXAMPLE"
	if report := verify(t, []byte(old+"\n"+ours(r)+"\n"), VerifyOptions{}); !report.Intact() || report.Records != 2 {
		t.Errorf("%+v", report)
	}
}
