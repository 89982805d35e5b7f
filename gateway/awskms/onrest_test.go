package awskms_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/policy"
)

// TestGrantEndsAreOnREST: one that was asked for here and left out would be a grant
// without an end.
func TestGrantEndsAreOnREST(t *testing.T) {
	t.Parallel()
	f := newFace(t)
	key := f.CreateKey(api.P256, api.SignVerify).KeyId
	user := f.Principal("user", policy.RoleUser)
	for name, value := range map[string]string{"ExpiresAt": "4102444800", "Uses": "5"} {
		a := f.do(t, f.sign(&f.Admin, "TrentService.CreateGrant", `{"KeyId":"`+key+`","GranteePrincipal":"`+user.ARN+`","Operations":["Sign"],"`+name+`":`+value+`}`))
		if a.status != 400 || a.code != string(api.Validation) || !strings.Contains(a.message, "AWS KMS has no member "+name) {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	f.Call("POST", "/v1/keys/"+key+"/grants", map[string]any{"GranteePrincipal": user.ARN, "Operations": []string{"Sign"}, "Uses": 1}, nil)
	signing := `{"KeyId":"` + key + `","Message":"bQ==","SigningAlgorithm":"ECDSA_SHA_256"}`
	if a := f.do(t, f.sign(&user, "TrentService.Sign", signing)); a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := f.do(t, f.sign(&user, "TrentService.Sign", signing)); a.code != string(api.AccessDenied) {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := f.do(t, f.sign(&f.Admin, "TrentService.ListGrants", `{"KeyId":"`+key+`"}`)); !strings.Contains(string(a.body), `"Uses":1,"UsesLeft":0`) || strings.Count(string(a.body), "GrantId") != 1 {
		t.Errorf("%s", a.body)
	}
}

// TestSigningContextIsOnREST: the AWS face takes none, so a policy that asks for
// one denies every call that comes by it.
func TestSigningContextIsOnREST(t *testing.T) {
	t.Parallel()
	f := newFace(t)
	key := f.CreateKey(api.P256, api.SignVerify).KeyId
	user := f.Principal("user", policy.RoleUser)
	const document = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"kms:Sign","Resource":"*","Condition":{"StringEquals":{"hsmgate:SigningContext:stage":"nightly"}}}}`
	for _, err := range []error{f.Identities.PutPolicy(t.Context(), "nightly", document, f.Now()), f.Identities.AttachPolicy(t.Context(), user.ARN, "nightly")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	members := map[string]any{"KeyId": key, "Message": []byte("m"), "SigningAlgorithm": "ECDSA_SHA_256"}
	body := func() string {
		text, err := json.Marshal(members)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if a := f.do(t, f.sign(&user, "TrentService.Sign", body())); a.code != string(api.AccessDenied) {
		t.Errorf("without a context: %d %s", a.status, a.body)
	}
	for name, value := range map[string]any{"SigningContext": map[string]string{"stage": "nightly"}, "Artifact": map[string]string{"Name": "a"}} {
		members[name] = value
		a := f.do(t, f.sign(&user, "TrentService.Sign", body()))
		if a.status != 400 || a.code != string(api.Validation) || !strings.Contains(a.message, "AWS KMS has no member "+name) {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
		if r := f.Records(); r[len(r)-1].Outcome != "invalid" || r[len(r)-1].SigningContext != nil || r[len(r)-1].ArtifactName != "" {
			t.Errorf("%s: %+v", name, r[len(r)-1])
		}
		delete(members, name)
	}
	members["SigningContext"] = map[string]string{"stage": "nightly"}
	if a := f.Send(user.Token, "POST", "/v1/keys/"+key+"/sign", members); a.Status != 200 {
		t.Errorf("on REST: %d %s", a.Status, a.Body)
	}
}
