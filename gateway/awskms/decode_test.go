package awskms

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
)

func TestDecode(t *testing.T) {
	const key = "1234abcd-12ab-34cd-56ef-1234567890ab"
	for body, want := range map[string]api.SignRequest{
		"":     {},
		"{}":   {},
		" {} ": {},
		`{"KeyId":"` + key + `","Message":"aGk=","MessageType":"RAW","SigningAlgorithm":"ECDSA_SHA_256"}`: {
			KeyTarget: api.KeyTarget{KeyId: key}, Message: []byte("hi"), MessageType: api.Raw, SigningAlgorithm: api.ECDSASHA256},
		`{"KeyId":null,"Message":null,"GrantTokens":null,"DryRun":null}`:         {},
		`{"Unknown":{"a":[1,{}]},"KeyId":"a"}`:                                   {KeyTarget: api.KeyTarget{KeyId: "a"}},
		`{"keyid":"a","KEYID":"b","Keyid":7}`:                                    {}, // other members, which there are not
		`{"KeyTarget":{"KeyId":"a"}}`:                                            {},
		`{"Body":"x","-":"y"}`:                                                   {},
		`{"KeyId":"a","KeyId":"b"}`:                                              {KeyTarget: api.KeyTarget{KeyId: "b"}},
		`{"Message":""}`:                                                         {Message: []byte{}},
		`{"GrantTokens":["a"],"DryRun":true}`:                                    {GrantTokens: []string{"a"}, DryRun: true},
		`{"\u004beyId":"\u0061"}`:                                                {KeyTarget: api.KeyTarget{KeyId: "a"}},
		"\t\r\n{\"KeyId\" : \"a\"}\n":                                            {KeyTarget: api.KeyTarget{KeyId: "a"}},
		`{"Deep":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`: {},
	} {
		var got api.SignRequest
		if err := decode([]byte(body), &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%.80s: %+v, %v, want %+v", body, got, err, want)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	const notObject = "The body is not one JSON object."
	for body, want := range map[string]string{
		"null": notObject, "[]": notObject, `"x"`: notObject, "7": notObject, "true": notObject,
		"{": notObject, "}": notObject, "{}{}": notObject, "{} x": notObject, `{"a":1,}`: notObject,
		"{'a':1}": notObject, `{"a":01}`: notObject, "\ufeff{}": notObject, "{}\x00": notObject, " ": notObject,
		"<xml/>": notObject, "Action=Sign&Version=2014-11-01": notObject,
		`{"Deep":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`: notObject,

		"{\"KeyId\":\"\xff\"}":              "The body is not UTF-8.",
		`{"KeyId":7}`:                       "Member KeyId has the wrong type.",
		`{"KeyId":["a"]}`:                   "Member KeyId has the wrong type.",
		`{"Message":"not base64!"}`:         "Member Message has the wrong type.",
		`{"Message":"aGk"}`:                 "Member Message has the wrong type.", // no padding
		`{"Message":[104,105]}`:             "Member Message has the wrong type.",
		`{"Message":7}`:                     "Member Message has the wrong type.",
		`{"MessageType":{}}`:                "Member MessageType has the wrong type.",
		`{"GrantTokens":"a"}`:               "Member GrantTokens has the wrong type.",
		`{"GrantTokens":[1]}`:               "Member GrantTokens has the wrong type.",
		`{"DryRun":"true"}`:                 "Member DryRun has the wrong type.",
		`{"DryRun":1}`:                      "Member DryRun has the wrong type.",
		`{"SigningAlgorithm":true,"x":"y"}`: "Member SigningAlgorithm has the wrong type.",
	} {
		var in api.SignRequest
		err := decode([]byte(body), &in)
		if err == nil || err.Code != api.Serialization || err.Message != want {
			t.Errorf("%.60q: %v, want SerializationException: %s", body, err, want)
		}
	}
	var in api.ListKeysRequest
	for _, body := range []string{`{"Limit":"10"}`, `{"Limit":1.5}`, `{"Limit":1e99}`, `{"Limit":99999999999999999999}`, `{"Limit":[]}`} {
		if err := decode([]byte(body), &in); err == nil || err.Code != api.Serialization {
			t.Errorf("%s: %v", body, err)
		}
	}
}

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
		if err := decode(body, in); err != nil {
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
		if err := decode(encoded, again); err != nil {
			t.Fatalf("%s %s: %v", op.Name, encoded, err)
		}
		twice, _ := json.Marshal(again)
		if string(twice) != string(encoded) {
			t.Fatalf("%s: %s is read as %s", op.Name, encoded, twice)
		}
	})
}
