package api_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

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
		if err := api.Decode([]byte(body), &got, false); err != nil || !reflect.DeepEqual(got, want) {
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
		`{"KeyId":7}`:                       "Member KeyId must be a string.",
		`{"KeyId":["a"]}`:                   "Member KeyId must be a string.",
		`{"Message":"not base64!"}`:         "Member Message must be a string in base64 (RFC 4648, section 4).",
		`{"Message":"aGk"}`:                 "Member Message must be a string in base64 (RFC 4648, section 4).", // no padding
		`{"Message":[104,105]}`:             "Member Message must be a string in base64 (RFC 4648, section 4).",
		`{"Message":7}`:                     "Member Message must be a string in base64 (RFC 4648, section 4).",
		`{"MessageType":{}}`:                "Member MessageType must be a string.",
		`{"GrantTokens":"a"}`:               "Member GrantTokens must be a list of strings.",
		`{"GrantTokens":[1]}`:               "Member GrantTokens must be a list of strings.",
		`{"DryRun":"true"}`:                 "Member DryRun must be true or false.",
		`{"DryRun":1}`:                      "Member DryRun must be true or false.",
		`{"SigningAlgorithm":true,"x":"y"}`: "Member SigningAlgorithm must be a string.",
	} {
		var in api.SignRequest
		err := api.Decode([]byte(body), &in, false)
		if err == nil || err.Code != api.Serialization || err.Message != want {
			t.Errorf("%.60q: %v, want SerializationException: %s", body, err, want)
		}
	}
	var in api.ListKeysRequest
	for _, body := range []string{`{"Limit":"10"}`, `{"Limit":1.5}`, `{"Limit":1e99}`, `{"Limit":99999999999999999999}`, `{"Limit":[]}`} {
		if err := api.Decode([]byte(body), &in, false); err == nil || err.Code != api.Serialization {
			t.Errorf("%s: %v", body, err)
		}
	}
}

// A strict face refuses what it does not know, also a name in another case.
func TestDecodeStrictly(t *testing.T) {
	for _, body := range []string{`{"keyid":"a"}`, `{"Mesage":"AAAA"}`, `{"Body":"x"}`, `{"KeyTarget":{}}`, `{"":1}`} {
		var in api.SignRequest
		if err := api.Decode([]byte(body), &in, true); err == nil || !strings.Contains(err.Message, "has no member") {
			t.Errorf("%s: %v", body, err)
		}
	}
	var in api.SignRequest
	if err := api.Decode([]byte(`{"KeyId":"a","Message":null}`), &in, true); err != nil || in.KeyId != "a" {
		t.Errorf("%+v, %v", in, err)
	}
}

// What holds for a request holds for the objects in it, too.
func TestDecodeNested(t *testing.T) {
	var tags api.TagResourceRequest
	if err := api.Decode([]byte(`{"Tags":[{"TagKey":"a","TagValue":null},{"TagKey":"b","tagvalue":"x"}]}`), &tags, false); err != nil ||
		!reflect.DeepEqual(tags.Tags, []api.Tag{{TagKey: "a"}, {TagKey: "b"}}) {
		t.Errorf("%+v, %v", tags, err)
	}
	var grant api.CreateGrantRequest
	if err := api.Decode([]byte(`{"Constraints":{"EncryptionContextEquals":{"a":"b"}},"Operations":["Sign"]}`), &grant, true); err != nil ||
		grant.Constraints == nil || grant.Constraints.EncryptionContextEquals["a"] != "b" || len(grant.Operations) != 1 {
		t.Errorf("%+v, %v", grant, err)
	}
	var material api.ImportKeyMaterialRequest
	if err := api.Decode([]byte(`{"ValidTo":1700000000}`), &material, true); err != nil || material.ValidTo.Unix() != 1700000000 {
		t.Errorf("%+v, %v", material, err)
	}
	const base64 = "a string in base64 (RFC 4648, section 4)."
	for body, c := range map[string]struct {
		in   any
		want string
	}{
		`{"Tags":{}}`:                               {&api.TagResourceRequest{}, "Member Tags must be a list of objects."},
		`{"Tags":["a"]}`:                            {&api.TagResourceRequest{}, "Member Tags must be a list of objects."},
		`{"Tags":[null]}`:                           {&api.TagResourceRequest{}, "Member Tags must be a list of objects."},
		`{"Tags":[{"TagKey":1}]}`:                   {&api.TagResourceRequest{}, "Member Tags.1.TagKey must be a string."},
		`{"Tags":[{},{"Tagkey":"a"}]}`:              {&api.TagResourceRequest{}, `The request has no member "Tags.2.Tagkey". See /openapi.yaml.`},
		`{"Constraints":[]}`:                        {&api.CreateGrantRequest{}, "Member Constraints must be an object."},
		`{"Constraints":{"SourceARN":"a"}}`:         {&api.CreateGrantRequest{}, `The request has no member "Constraints.SourceARN". See /openapi.yaml.`},
		`{"ValidTo":"2030-01-01T00:00:00Z"}`:        {&api.ImportKeyMaterialRequest{}, "Member ValidTo must be a number of seconds since 1970."},
		`{"EncryptionContext":{"a":1}}`:             {&api.EncryptRequest{}, "Member EncryptionContext must be an object of strings."},
		`{"Recipient":{"AttestationDocument":[1]}}`: {&api.DecryptRequest{}, "Member Recipient.AttestationDocument must be " + base64},
	} {
		if err := api.Decode([]byte(body), c.in, true); err == nil || err.Message != c.want {
			t.Errorf("%s: %v, want %s", body, err, c.want)
		}
	}
}

// FuzzDecode compares with a map made by encoding/json.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{`{"KeyId":"a","Message":"aGk="}`, "{ \"KeyId\" :\t\"\\u0061\\\"\" , \"GrantTokens\":[\"a\",\"]\"],\"DryRun\":true}", `{"a":{"b":[1,{"c":"}"}]},"KeyId":null}`,
		`{"Message":"aG\/k","MessageType":"\ud800","KeyId":"b","KeyId":1e5 }`, `{"\u004beyId":"a","":-0.5}`, `{}`, `[{}]`, `{"Message":"aG\nk="}`, "{\"Message\":\"aG\nk=\"}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var in, want api.SignRequest
		err := api.Decode(body, &in, false)
		var given map[string]json.RawMessage
		bad := len(body) > 0 && (!utf8.Valid(body) || json.Unmarshal(body, &given) != nil || given == nil)
		for name, field := range map[string]any{"KeyId": &want.KeyId, "Message": &want.Message, "MessageType": &want.MessageType,
			"SigningAlgorithm": &want.SigningAlgorithm, "GrantTokens": &want.GrantTokens, "DryRun": &want.DryRun} {
			if raw, ok := given[name]; ok {
				bad = bad || json.Unmarshal(raw, field) != nil || name == "Message" && raw[0] == '['
			}
		}
		if (err != nil) != bad || !bad && !reflect.DeepEqual(in, want) {
			t.Fatalf("%q: %+v, %v; encoding/json has %+v, bad %v", body, in, err, want, bad)
		}
		err = api.Decode(body, new(api.SignRequest), true)
		for name := range given {
			switch name {
			case "KeyId", "Message", "MessageType", "SigningAlgorithm", "GrantTokens", "DryRun":
			default:
				if err == nil {
					t.Fatalf("%q: %q is taken", body, name)
				}
			}
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	body := []byte(`{"KeyId":"","Message":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","MessageType":"DIGEST","SigningAlgorithm":"ECDSA_SHA_256"}`)
	b.ReportAllocs()
	for b.Loop() {
		if err := api.Decode(body, new(api.SignRequest), true); err != nil {
			b.Fatal(err)
		}
	}
}
