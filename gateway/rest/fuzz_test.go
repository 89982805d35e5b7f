package rest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
)

// FuzzDecode offers every operation any query, name and body. What is refused
// is the caller's mistake; what is taken is a request that can be written again.
func FuzzDecode(f *testing.F) {
	for _, seed := range []struct{ name, query, body string }{
		{"alias%2Fa", "", `{}`}, {"x", "Limit=5&Marker=x", `{"KeyId":"x"}`}, {"", "DryRun=true", `null`}, {"%zz", "a=b;c", `[]`},
		{"1234abcd-12ab-34cd-56ef-1234567890ab", "", `{"Message":"AAAA","MessageType":"RAW","SigningAlgorithm":"ECDSA_SHA_256","GrantTokens":["a"],"DryRun":true}`},
		{"a", "KeyId=b", `{"CiphertextBlob":"AAAA","Recipient":{"KeyEncryptionAlgorithm":"x","AttestationDocument":"AAAA"}}`},
		{"\xff", "Message=AAAA", `{"KeySpec":"RSA_2048","Tags":[{"TagKey":"a","TagValue":"b"}],"keyspec":5}`}, {"a", "Limit=99999999999999999999", "{\"A\":1}{}"},
	} {
		f.Add(seed.name, seed.query, seed.body)
	}
	e := echo.New()
	f.Fuzz(func(t *testing.T, name, query, body string) {
		for _, op := range gateway.Ops {
			r := httptest.NewRequestWithContext(t.Context(), op.Method, "http://localhost/", strings.NewReader(body))
			r.URL.RawQuery = query
			if len(body)%3 != 0 {
				r.Header.Set("Content-Type", "application/json")
			}
			ec := e.NewContext(r, httptest.NewRecorder())
			if strings.Contains(op.Path, "{") {
				r.URL.RawPath = "/" + name
				ec.SetPath("/v1/:name")
				ec.SetParamNames("name")
				ec.SetParamValues(name)
			}
			in := op.New()
			if err := decode(ec, in); err != nil {
				if status := err.Code.RESTStatus(); status < 400 || status >= 500 || err.Message == "" {
					t.Fatalf("%s: %v", op.Name, err)
				}
				continue
			}
			written, err := json.Marshal(in)
			if err != nil || !utf8.Valid(written) {
				t.Fatalf("%s: %v", op.Name, err)
			}
			if sign, ok := in.(*api.SignRequest); op.Method == http.MethodGet || ok && sign.Body != nil {
				continue
			}
			if body != "" && !json.Valid([]byte(body)) {
				t.Fatalf("%s takes %q", op.Name, body)
			}
		}
	})
}
