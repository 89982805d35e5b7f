package awsclients

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
)

// TestCurl signs with a client that has a SigV4 of its own, and none of AWS's
// code.
func TestCurl(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	call := func(secret, target, body string) (status, answer string) {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), program(t, "curl", "curl"), "-sS", "--noproxy", "*",
			"--aws-sigv4", "aws:amz:"+gatewaytest.Region+":kms", "--user", g.Admin.AccessKeyID+":"+secret,
			"-H", "Content-Type: application/x-amz-json-1.1", "-H", "X-Amz-Target: TrentService."+target,
			"-d", body, "-w", "\n%{http_code}", g.URL+"/").CombinedOutput()
		if err != nil {
			t.Fatalf("curl: %v: %s", err, out)
		}
		answer, status, _ = strings.Cut(string(out), "\n")
		return status, answer
	}
	status, answer := call(g.Admin.SecretAccessKey, "CreateKey", `{"KeySpec":"ECC_NIST_P256","KeyUsage":"SIGN_VERIFY"}`)
	var made struct{ KeyMetadata struct{ KeyId string } }
	if err := json.Unmarshal([]byte(answer), &made); err != nil || status != "200" {
		t.Fatalf("%s %s (%v)", status, answer, err)
	}
	status, answer = call(g.Admin.SecretAccessKey, "Sign", `{"KeyId":"`+made.KeyMetadata.KeyId+`","Message":"aGk=","SigningAlgorithm":"ECDSA_SHA_256"}`)
	if status != "200" || !strings.Contains(answer, `"Signature":"`) {
		t.Errorf("%s %s", status, answer)
	}
	status, answer = call("x", "ListKeys", "{}")
	if status != "400" || !strings.Contains(answer, `"__type":"InvalidSignatureException"`) {
		t.Errorf("with a wrong secret: %s %s", status, answer)
	}
}
