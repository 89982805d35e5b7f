package awsclients

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/policy"
)

// caller makes a principal that may do nothing of itself.
func (b *bench) caller() (arn string, as access) {
	c := b.Principal("caller-"+uuid.NewString()[:8], policy.RoleUser)
	return c.ARN, accessOf(b.Gateway, c)
}

const byAccount = `{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + gatewaytest.Account + `:root"},"Action":"kms:*","Resource":"*"}`

func policyOf(statements ...string) string {
	return `{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`
}

// testPolicies has a key policy decide, with each client.
func (b *bench) testPolicies(t *testing.T) {
	id, arn := b.create(t, "SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT")
	who, as := b.caller()
	encrypt := func(tenant string) params {
		return params{"KeyId": id, "Plaintext": []byte("x"), "EncryptionContext": map[string]string{"tenant": tenant}}
	}
	wantError(t, b.refused(t, as, "Encrypt", encrypt("one")), "AccessDeniedException",
		"User: "+who+" is not authorized to perform: kms:Encrypt on resource: "+arn+" because no identity-based policy allows the kms:Encrypt action")
	if p := b.must(t, b.admin, "GetKeyPolicy", params{"KeyId": arn, "PolicyName": "default"}).str(t, "Policy"); !strings.Contains(p, "Enable IAM User Permissions") {
		t.Errorf("the default policy is %s", p)
	}
	text := policyOf(byAccount, `{"Effect":"Allow","Principal":{"AWS":"`+who+`"},"Action":"kms:Encrypt","Resource":"*","Condition":{"StringEquals":{"kms:EncryptionContext:tenant":"one"}}}`)
	b.must(t, b.admin, "PutKeyPolicy", params{"KeyId": id, "PolicyName": "default", "Policy": text})
	if p := b.must(t, b.admin, "GetKeyPolicy", params{"KeyId": id, "PolicyName": "default"}).str(t, "Policy"); p != text {
		t.Errorf("the policy is %s", p)
	}
	b.must(t, as, "Encrypt", encrypt("one"))
	if err := b.refused(t, as, "Encrypt", encrypt("two")); err.code != "AccessDeniedException" {
		t.Errorf("another tenant: %v", err)
	}
	if names := b.must(t, b.admin, "ListKeyPolicies", params{"KeyId": id}).list(t, "PolicyNames"); len(names) != 1 || names[0] != "default" {
		t.Errorf("%v", names)
	}
	if !b.fast {
		return
	}
	lockOut := params{"KeyId": id, "PolicyName": "default", "Policy": policyOf(strings.Replace(byAccount, ":root", ":user/nobody", 1))}
	wantError(t, b.refused(t, b.admin, "PutKeyPolicy", lockOut), "MalformedPolicyDocumentException", "The new key policy will not allow you to update the key policy in the future.")
	long := params{"KeyId": id, "PolicyName": "default", "Policy": text + strings.Repeat(" ", 32768)}
	if err := b.refused(t, b.admin, "PutKeyPolicy", long); err.code != "LimitExceededException" {
		t.Errorf("a long policy: %v", err)
	}
	lockOut["BypassPolicyLockoutSafetyCheck"] = true
	b.must(t, b.admin, "PutKeyPolicy", lockOut)
	if err := b.refused(t, b.admin, "GetKeyPolicy", params{"KeyId": id, "PolicyName": "default"}); err.code != "AccessDeniedException" {
		t.Errorf("the administrator is not locked out: %v", err)
	}
	made := b.must(t, b.admin, "CreateKey", params{"Policy": text}).object(t, "KeyMetadata").str(t, "KeyId")
	if p := b.must(t, b.admin, "GetKeyPolicy", params{"KeyId": made, "PolicyName": "default"}).str(t, "Policy"); p != text {
		t.Errorf("made with the policy %s", p)
	}
}

// testGrants has a grant decide, with each client.
func (b *bench) testGrants(t *testing.T) {
	id, arn := b.create(t, "SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT")
	who, as := b.caller()
	pairs := map[string]string{"tenant": "one"}
	in := params{"KeyId": id, "GranteePrincipal": who, "RetiringPrincipal": who, "Operations": []string{"Encrypt", "Decrypt"}, "Name": "mine",
		"Constraints": map[string]any{"EncryptionContextSubset": pairs}}
	made := b.must(t, b.admin, "CreateGrant", in)
	grant, token := made.str(t, "GrantId"), made.str(t, "GrantToken")
	blob := b.must(t, as, "Encrypt", params{"KeyId": id, "Plaintext": []byte("x"), "EncryptionContext": pairs, "GrantTokens": []string{token}}).blob(t, "CiphertextBlob")
	if got := b.must(t, as, "Decrypt", params{"CiphertextBlob": blob, "EncryptionContext": pairs}).blob(t, "Plaintext"); string(got) != "x" {
		t.Errorf("decrypted %q", got)
	}
	if err := b.refused(t, as, "Encrypt", params{"KeyId": id, "Plaintext": []byte("x")}); err.code != "AccessDeniedException" {
		t.Errorf("without the context: %v", err)
	}
	list := b.must(t, b.admin, "ListGrants", params{"KeyId": arn})
	if ids := list.strings(t, "Grants", "GrantId"); len(ids) != 1 || ids[0] != grant {
		t.Errorf("%v", list)
	}
	if again := b.must(t, b.admin, "CreateGrant", in).str(t, "GrantId"); again != grant {
		t.Errorf("the same again is %s, not %s", again, grant)
	}
	wantError(t, b.refused(t, as, "Encrypt", params{"KeyId": id, "Plaintext": []byte("x"), "EncryptionContext": pairs, "GrantTokens": []string{"x"}}), "InvalidGrantTokenException", "")
	if ids := b.must(t, b.admin, "ListRetirableGrants", params{"RetiringPrincipal": who}).strings(t, "Grants", "GrantId"); len(ids) != 1 {
		t.Errorf("%v", ids)
	}
	b.must(t, as, "RetireGrant", params{"GrantToken": token})
	wantError(t, b.refused(t, b.admin, "RevokeGrant", params{"KeyId": id, "GrantId": grant}), "NotFoundException", "")
	delete(in, "Name")
	again := b.must(t, b.admin, "CreateGrant", in).str(t, "GrantId")
	b.must(t, b.admin, "RevokeGrant", params{"KeyId": id, "GrantId": again})
	if err := b.refused(t, as, "Encrypt", params{"KeyId": id, "Plaintext": []byte("x"), "EncryptionContext": pairs}); err.code != "AccessDeniedException" {
		t.Errorf("after the end: %v", err)
	}
}
