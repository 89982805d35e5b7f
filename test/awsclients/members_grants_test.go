package awsclients

import (
	"testing"
)

// testConstraints: EncryptionContextEquals takes the same pairs alone, and
// EncryptionContextSubset others beside them.
func (b *bench) testConstraints(t *testing.T) {
	_, arn := b.create(t, box, "ENCRYPT_DECRYPT")
	more := map[string]string{"tenant": "one", "file": "a"}
	for constraint, withMore := range map[string]bool{"EncryptionContextEquals": false, "EncryptionContextSubset": true} {
		who, as := b.caller()
		b.must(t, b.admin, "CreateGrant", params{"KeyId": arn, "GranteePrincipal": who, "Operations": []string{"Encrypt"}, "Constraints": params{constraint: tenant}})
		encrypt := with(sealing, params{"KeyId": arn, "Plaintext": message})
		b.must(t, as, "Encrypt", encrypt)
		encrypt["EncryptionContext"] = more
		if withMore {
			b.must(t, as, "Encrypt", encrypt)
		} else {
			b.denied(t, as, "Encrypt", encrypt)
		}
		encrypt["EncryptionContext"] = map[string]string{"tenant": "two"}
		b.denied(t, as, "Encrypt", encrypt)
	}
}

// testEndsOfGrants ends a grant in each way that there is; a dry run of it ends
// nothing.
func (b *bench) testEndsOfGrants(t *testing.T) {
	id, arn := b.create(t, box, "ENCRYPT_DECRYPT")
	retiring, retires := b.caller()
	_, stranger := b.caller()
	for name, end := range map[string]struct {
		as access
		op string
		in func(grant, token string) params
	}{
		"by its token":   {retires, "RetireGrant", func(_, token string) params { return params{"GrantToken": token} }},
		"by key and id":  {retires, "RetireGrant", func(grant, _ string) params { return params{"KeyId": arn, "GrantId": grant} }},
		"by the manager": {b.admin, "RevokeGrant", func(grant, _ string) params { return params{"KeyId": id, "GrantId": grant} }},
	} {
		t.Run(name, func(t *testing.T) {
			who, as := b.caller()
			made := b.must(t, b.admin, "CreateGrant", params{"KeyId": id, "GranteePrincipal": who, "RetiringPrincipal": retiring, "Operations": []string{"Encrypt"}})
			in, encrypt := end.in(made.str(t, "GrantId"), made.str(t, "GrantToken")), with(sealing, params{"KeyId": arn, "Plaintext": message})
			b.denied(t, stranger, end.op, in)
			wantError(t, b.refused(t, end.as, end.op, with(in, params{"DryRun": true})), dryRun, "")
			b.must(t, as, "Encrypt", encrypt)
			b.must(t, end.as, end.op, in)
			b.denied(t, as, "Encrypt", encrypt)
			if list := b.must(t, b.admin, "ListGrants", params{"KeyId": id}).list(t, "Grants"); len(list) != 0 {
				t.Errorf("there is still %v", list)
			}
		})
	}
}
