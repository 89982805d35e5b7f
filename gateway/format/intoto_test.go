package format_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"github.com/hsmgate/hsmgate/gateway/format"
)

// TestInTotoType: what is signed has to be a statement that is read as one.
func TestInTotoType(t *testing.T) {
	k := newKey(t)
	for kind, good := range map[string]bool{"https://in-toto.io/Statement/v1": true, "https://in-toto.io/Statement/v0.1": true, "https://in-toto.io/Statement/v2": false, "": false} {
		text, err := json.Marshal(map[string]any{"_type": kind, "predicateType": "https://example.org/test", "predicate": struct{}{},
			"subject": []any{map[string]any{"name": "app", "digest": map[string]string{"sha256": strings.Repeat("a", 64)}}}})
		if err != nil {
			t.Fatal(err)
		}
		signature, err := format.SignMessage(k, dsse.PAE(format.StatementPayload, text))
		if err != nil {
			t.Fatal(err)
		}
		envelope, err := json.Marshal(map[string]any{"payloadType": format.StatementPayload, "payload": text, "signatures": []any{map[string]any{"sig": signature}}})
		if err != nil {
			t.Fatal(err)
		}
		trust := keys(k)
		if err := trust.Attested(envelope, strings.Repeat("a", 64)); (err == nil) != good || err != nil && !errors.Is(err, format.ErrNotGood) {
			t.Errorf("%q: %v", kind, err)
		}
	}
}
