package awskms

import (
	"encoding/json"
	"testing"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
)

// FuzzDecode reads any body as the request of any operation: nothing but a
// whole JSON object is accepted, and what encoding/json makes of a request is
// read back as it was.
func FuzzDecode(f *testing.F) {
	for i := range gateway.Ops {
		f.Add(uint8(i), []byte(`{"KeyId":"a","Message":"aGk=","Limit":5,"AliasName":"alias/a","DryRun":null}`))
	}
	f.Add(uint8(0), []byte(`{"Tags":[{"TagKey":"a"}],"Policy":"{}"} `))
	f.Add(uint8(1), []byte(`{"EncryptionContext":{"a":null}}`))
	f.Add(uint8(2), []byte("null"))
	f.Fuzz(func(t *testing.T, number uint8, body []byte) {
		op := gateway.Ops[int(number)%len(gateway.Ops)]
		in := op.New()
		if err := api.Decode(body, in, false); err != nil {
			if err.Code != api.Serialization {
				t.Fatalf("%s %q: %v", op.Name, body, err)
			}
			return
		}
		if len(body) > 0 && !json.Valid(body) {
			t.Fatalf("%s accepts %q", op.Name, body)
		}
		encoded, cause := json.Marshal(in)
		if cause != nil {
			t.Fatalf("%s %q: %v", op.Name, body, cause)
		}
		again := op.New()
		if err := api.Decode(encoded, again, false); err != nil {
			t.Fatalf("%s %s: %v", op.Name, encoded, err)
		}
		twice, _ := json.Marshal(again)
		if string(twice) != string(encoded) {
			t.Fatalf("%s: %s is read as %s", op.Name, encoded, twice)
		}
	})
}
