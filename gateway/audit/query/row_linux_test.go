package query

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/audit"
)

// TestRows: a line is read as a record is, whatever callers put into it.
func TestRows(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 30))
	nasty := []string{"", `\`, `"`, `a\"b`, `{"keyId":"x"}`, "\u2028\x00\xff", "ä€😀", `","operation":"Forged`, `\\`, "<&>", "\n\t"}
	pick := func() string { return nasty[rnd.IntN(len(nasty))] + nasty[rnd.IntN(len(nasty))] }
	for n := range 3000 {
		r := made(n+1, rnd)
		r.Resource, r.UserAgent, r.ArtifactName, r.Reason, r.Digest = pick(), pick(), pick(), pick(), pick()
		r.EncryptionContext = map[string]string{pick(): pick(), "keyId": pick(), "time": "2001-01-01T00:00:00Z"}
		r.SigningContext = map[string]string{"a": `}`, pick(): `{`}
		r.PermissionChange = n%2 == 0
		r.Seq, r.Prev = uint64(n+1), fmt.Sprintf("%064d", 0)
		text, err := json.Marshal(r) // the same members in the same order as the log's own lines, with more escapes
		if err != nil {
			t.Fatal(err)
		}
		same(t, text, n%2 == 0)
	}
}

// same compares the two ways to read a line; quick says that the first one has to do it.
func same(t *testing.T, text []byte, quick bool) {
	t.Helper()
	var got row
	if ok := got.scan(text); !ok {
		if quick {
			t.Errorf("not read: %s", text)
		}
		return
	}
	record, err := audit.Line{Text: text}.Record()
	if err != nil {
		return // the Reader of the log checks that it is JSON
	}
	want := rowOfRecord(&record)
	if got.at != want.at || fmt.Sprintf("%q", got.texts) != fmt.Sprintf("%q", want.texts) {
		t.Errorf("%s:\n%q, not\n%q", text, got.texts, want.texts)
	}
}

// TestOddLines: what the log never writes is left to the decoder, or is read as it reads it.
func TestOddLines(t *testing.T) {
	for _, text := range []string{
		``, `{`, `{}`, `[]`, `{"seq":1`, `{"seq":1}`, `{"time":"2026-01-01T00:00:00Z"} `, `{"time":"2026-01-01T00:00:00Z","keyId":null}`, `{ "time":"2026-01-01T00:00:00Z"}`,
		`{"time":"2026-01-01T00:00:00Z","keyId":"a","keyId":"b"}`, `{"time":"2026-01-01T00:00:00Z","x":[{"keyId":"a"},"]"],"keyId":"b"}`,
		`{"time":"2026-01-01T00:00:00Z","keyId":"a`, `{"time":"2026-01-01T00:00:00Z","x":{"keyId":"a"}`, `{"time":"yesterday","keyId":"a"}`, `{"time":"2026-01-01T00:00:00Z","keyId":"\u00e4\\"}`,
	} {
		same(t, []byte(text), false)
	}
}
