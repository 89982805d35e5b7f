package rest_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/policy"
)

// TestHealth: what is served to strangers, and what it says while the token is
// away.
func TestHealth(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	for path, want := range map[string]string{"/healthz": `{"status":"ok"}`, "/readyz": `{"status":"ready","parts":[{"name":"token"`, "/openapi.yaml": "openapi: 3.1.0"} {
		if a := g.Send("", "GET", path, nil); a.Status != 200 || !strings.HasPrefix(string(a.Body), want) {
			t.Errorf("%s: %d %.100s", path, a.Status, a.Body)
		}
	}
	if len(g.Records()) != 0 {
		t.Error("health checks leave records")
	}
	_ = g.Token.Close()
	start := time.Now()
	a := g.Send("", "GET", "/readyz", nil)
	if a.Status != 503 || a.Header.Get("Retry-After") == "" || !strings.Contains(string(a.Body), "the token does not answer") || time.Since(start) > 10*time.Second {
		t.Errorf("/readyz without the token: %d %s", a.Status, a.Body)
	}
	if a := g.Send("", "GET", "/healthz", nil); a.Status != 200 {
		t.Errorf("/healthz without the token: %d %s", a.Status, a.Body)
	}
}

// TestReadinessInWords: anybody reads how each part is and what to do; who may read
// the metrics is told figures and reasons, too, and nobody else.
func TestReadinessInWords(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	g.Service.AddPart(func() gateway.Part {
		return gateway.Part{Name: "checkpoint", Status: gateway.StatusDegraded, State: "the last checkpoint is old", Do: "wait", Detail: "of 1970"}
	})
	user := g.Principal("user", policy.RoleUser)
	ask := func(token, accept string, status int) string {
		t.Helper()
		a := g.Send(token, "GET", "/readyz", nil, "Accept", accept)
		if a.Status != status {
			t.Errorf("%d, want %d", a.Status, status)
		}
		return string(a.Body)
	}
	tells := func(text string, secret bool, want ...string) {
		t.Helper()
		for _, w := range want {
			if !strings.Contains(text, w) {
				t.Errorf("no %q in %s", w, text)
			}
		}
		if strings.Contains(text, "of 1970") != secret || strings.Contains(text, "last durable record") != secret {
			t.Errorf("figures are told: not %v: %s", secret, text)
		}
	}
	words := []string{"the token answers and is logged in", "the audit log takes records", "the database is followed", "the last checkpoint is old"}
	tells(ask("", "", 200), false, words...)
	tells(ask(user.Token, "", 200), false, words...)
	tells(ask("hsmgate_wrong", "", 200), false, words...)
	tells(ask(g.Admin.Token, "", 200), true, append(words, "sessions are busy")...)
	tells(ask(g.Admin.Token, "text/plain", 200), true, "ready\ntoken: ready: the token answers")
	if err := g.Audit.Close(); err != nil {
		t.Fatal(err)
	}
	_ = g.Token.Close()
	tells(ask("", "text/plain", 503), false, "not ready\n", "the token does not answer; mend the HSM", "the audit log takes no records, so every call is refused; free its disk")
	if text := ask(g.Admin.Token, "", 503); strings.Contains(text, g.AuditPath) {
		t.Errorf("a path is told while no record can be kept: %s", text)
	}
}

// TestMetricsNeedPermission: figures are for authenticated callers that may.
func TestMetricsNeedPermission(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	key := g.CreateKey(api.P256, api.SignVerify).KeyId
	g.Send(g.Admin.Token, "PUT", "/v1/keys/"+key+"/sign", "x")
	g.Send(g.Admin.Token, "PUT", "/v1/keys/"+key+"/sign", "")
	refusal(t, g.Send("", "GET", "/metrics", nil), 401, api.MissingAuthentication)
	refusal(t, g.Send(g.Principal("user", policy.RoleUser, key).Token, "GET", "/metrics", nil), 403, api.AccessDenied)
	a := g.Send(g.Admin.Token, "GET", "/metrics", nil)
	for _, line := range []string{
		`hsmgate_calls_total{operation="Sign",outcome="allowed"} 1`, `hsmgate_calls_total{operation="Sign",outcome="invalid"} 1`,
		`hsmgate_calls_total{operation="GetMetrics",outcome="denied"} 1`, `hsmgate_call_seconds_count{operation="Sign"} 2`,
		`hsmgate_rest_authentication_failures_total{reason="MissingAuthenticationTokenException"} 1`,
		`hsmgate_token_available{token="default"} 1`, "hsmgate_audit_ready 1", `hsmgate_token_sessions{token="default"} `, `hsmgate_token_recoveries_total{token="default"} 0`,
	} {
		if !bytes.Contains(a.Body, []byte("\n"+line)) {
			t.Errorf("no line %s", line)
		}
	}
	for _, line := range []string{`hsmgate_key_calls_total{key="` + key + `",operation="Sign",outcome="allowed"} 1`,
		`hsmgate_principal_calls_total{operation="Sign",outcome="invalid",principal="` + g.Admin.ARN + `"} 1`} {
		if !bytes.Contains(a.Body, []byte("\n"+line)) {
			t.Errorf("no line %s", line)
		}
	}
	records := outcomes(g)
	if last := records[len(records)-1]; last.Operation != "GetMetrics" || last.Outcome != "allowed" {
		t.Errorf("%+v", last)
	}
}

// TestNothingSecretIsTold searches logs, records and errors for what was given
// in confidence.
func TestNothingSecretIsTold(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	signing, decrypting := g.CreateKey(api.P256, api.SignVerify).KeyId, g.CreateKey(api.RSA2048, api.EncryptDecrypt).KeyId
	const secret = "the launch code is 0000-1234"
	encoded := base64.StdEncoding.EncodeToString([]byte(secret))
	var told []string
	send := func(path, body string) gatewaytest.Answer {
		a := g.Send(g.Admin.Token, "POST", path, body, "Content-Type", "application/json")
		if a.Status != 200 {
			told = append(told, string(a.Body))
		}
		return a
	}
	at, in := "/v1/keys/"+signing, "/v1/keys/"+decrypting
	for _, body := range []string{
		`{"Message":"%s","SigningAlgorithm":"ECDSA_SHA_256"}`, `{"Message":"%s","SigningAlgorithm":"ECDSA_SHA_512"}`, `{"Message":"%s"}`, `{"Message":"%s","MessageType":"DIGEST","SigningAlgorithm":"ECDSA_SHA_256"}`,
		`{"Message":"%s!","SigningAlgorithm":"ECDSA_SHA_256"}`, `{"Message":"%s`, `{"Message":["%s"]}`, `"%s"`, `["%s"]`, `{"Message":{"a":"%s"}}`,
	} {
		send(at+"/sign", fmt.Sprintf(body, encoded))
	}
	var encrypted api.EncryptResponse
	if err := json.Unmarshal(send(in+"/encrypt", `{"Plaintext":"`+encoded+`","EncryptionAlgorithm":"RSAES_OAEP_SHA_1"}`).Body, &encrypted); err != nil {
		t.Fatal(err)
	}
	send(in+"/encrypt", `{"Plaintext":"`+encoded+`"}`)
	ciphertext := base64.StdEncoding.EncodeToString(encrypted.CiphertextBlob)
	if a := send(in+"/decrypt", `{"CiphertextBlob":"`+ciphertext+`","EncryptionAlgorithm":"RSAES_OAEP_SHA_1"}`); !strings.Contains(string(a.Body), encoded) {
		t.Fatalf("%s", a.Body)
	}
	send(in+"/decrypt", `{"CiphertextBlob":"`+ciphertext+`","EncryptionAlgorithm":"RSAES_OAEP_SHA_256"}`)
	g.Send(g.Admin.Token, "PUT", at+"/sign", secret)
	told = append(told, string(g.Send("Bearer "+g.Admin.Token, "GET", "/v1/keys", nil).Body), string(g.Send(g.Admin.Token[:70], "GET", "/v1/keys", nil).Body))
	for _, line := range g.Lines.All() {
		told = append(told, line.Message+fmt.Sprint(line.ContextMap()))
	}
	for _, r := range g.Records() {
		told = append(told, fmt.Sprintf("%+v", r))
	}
	tokenSecret := g.Admin.Token[strings.LastIndex(g.Admin.Token, "_")+1:]
	for _, text := range told {
		for _, s := range []string{secret, encoded, encoded[:12], "launch code", ciphertext[:20], tokenSecret[:20], g.Admin.SecretAccessKey} {
			if strings.Contains(text, s) {
				t.Errorf("%q stands in %s", s, text)
			}
		}
	}
	if len(told) < 50 {
		t.Errorf("only %d texts were searched", len(told))
	}
}
