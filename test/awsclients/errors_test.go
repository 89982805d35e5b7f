package awsclients

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/policy"
)

// wantError compares an error with what it should be; the message is compared by
// its beginning.
func wantError(t *testing.T, err *failure, code, message string) {
	t.Helper()
	if err.code != code || !strings.HasPrefix(err.message, message) {
		t.Errorf("%v, want %s: %s", err, code, message)
	}
}

// modelled are the errors that the SDKs have types for; the others are the same
// on every AWS service and come as a code.
var modelled = map[string]bool{
	"AlreadyExistsException": true, "DisabledException": true, "DryRunOperationException": true, "InvalidCiphertextException": true,
	"InvalidGrantTokenException": true, "InvalidKeyUsageException": true, "InvalidMarkerException": true, "KMSInvalidSignatureException": true,
	"KMSInvalidStateException": true, "NotFoundException": true, "UnsupportedOperationException": true,
}

// shownByCLI are the errors that the AWS CLI is shown: it reads all alike, and
// takes up to a second of CPU for each.
var shownByCLI = []string{"unknown key", "not allowed", "unknown enum", "dry run", "not served"}

// testErrors meets each class of error that a caller can cause, and looks
// whether the client gives it its own type.
func (b *bench) testErrors(t *testing.T) {
	id, arn := b.create(t, "ECC_NIST_P256", "SIGN_VERIFY")
	other, _ := b.create(t, "ECC_NIST_P256", "SIGN_VERIFY")
	rsa, _ := b.create(t, "RSA_2048", "ENCRYPT_DECRYPT")
	user := accessOf(b.Gateway, b.Principal("errors", policy.RoleUser, id))
	b.must(t, b.admin, "CreateAlias", params{"AliasName": "alias/taken", "TargetKeyId": id})
	const missing = "00000000-0000-4000-8000-000000000000"
	sign := func(members params) params {
		in := params{"KeyId": id, "SigningAlgorithm": "ECDSA_SHA_256", "Message": []byte("x")}
		for name, value := range members {
			in[name] = value
		}
		return in
	}
	b.must(t, user, "Sign", sign(nil))
	for name, c := range map[string]struct {
		as            access
		op            string
		in            params
		code, message string
	}{
		"unknown key":      {b.admin, "DescribeKey", params{"KeyId": missing}, "NotFoundException", "Key 'arn:aws:kms:eu-central-1:111122223333:key/" + missing + "' does not exist"},
		"unknown alias":    {b.admin, "Sign", sign(params{"KeyId": "alias/none"}), "NotFoundException", "Alias arn:aws:kms:eu-central-1:111122223333:alias/none is not found."},
		"malformed id":     {b.admin, "DescribeKey", params{"KeyId": "x"}, "NotFoundException", "Invalid keyId 'x'"},
		"another region":   {b.admin, "DescribeKey", params{"KeyId": strings.Replace(arn, "eu-central-1", "us-east-1", 1)}, "NotFoundException", "Invalid arn us-east-1"},
		"not allowed":      {user, "CreateKey", params{"KeySpec": "RSA_2048", "KeyUsage": "SIGN_VERIFY"}, "AccessDeniedException", "User: arn:aws:iam::111122223333:user/errors is not authorized to perform: kms:CreateKey on resource: *"},
		"another's key":    {user, "Sign", sign(params{"KeyId": other}), "AccessDeniedException", "User: arn:aws:iam::111122223333:user/errors is not authorized to perform: kms:Sign on resource: "},
		"not even there":   {user, "Sign", sign(params{"KeyId": missing}), "AccessDeniedException", "User: arn:aws:iam::111122223333:user/errors is not authorized to perform: kms:Sign on resource: "},
		"unknown enum":     {b.admin, "Sign", sign(params{"SigningAlgorithm": "ECDSA_SHA_1"}), "ValidationException", "1 validation error detected: Value 'ECDSA_SHA_1' at 'signingAlgorithm' failed to satisfy constraint: Member must satisfy enum value set: ["},
		"message too long": {b.admin, "Sign", sign(params{"Message": make([]byte, 4097)}), "ValidationException", "1 validation error detected: Value at 'message' failed to satisfy constraint: Member must have length less than or equal to 4096"},
		"digest length":    {b.admin, "Sign", sign(params{"MessageType": "DIGEST"}), "ValidationException", "Digest is invalid length for algorithm ECDSA_SHA_256."},
		"other algorithm":  {b.admin, "Sign", sign(params{"SigningAlgorithm": "RSASSA_PSS_SHA_256"}), "InvalidKeyUsageException", "Algorithm RSASSA_PSS_SHA_256 is incompatible with key spec ECC_NIST_P256."},
		"other usage":      {b.admin, "Sign", sign(params{"KeyId": rsa}), "InvalidKeyUsageException", ""},
		"dry run":          {b.admin, "Sign", sign(params{"DryRun": true}), "DryRunOperationException", "The request would have succeeded, but the DryRun option is set."},
		"grant token":      {b.admin, "Sign", sign(params{"GrantTokens": []string{"abc"}}), "InvalidGrantTokenException", ""},
		"bad ciphertext":   {b.admin, "Decrypt", params{"KeyId": rsa, "EncryptionAlgorithm": "RSAES_OAEP_SHA_256", "CiphertextBlob": make([]byte, 256)}, "InvalidCiphertextException", ""},
		"too much":         {b.admin, "Encrypt", params{"KeyId": rsa, "EncryptionAlgorithm": "RSAES_OAEP_SHA_256", "Plaintext": make([]byte, 191)}, "ValidationException", "Algorithm RSAES_OAEP_SHA_256 and key spec RSA_2048 cannot encrypt data larger than 190 bytes."},
		"alias taken":      {b.admin, "CreateAlias", params{"AliasName": "alias/taken", "TargetKeyId": other}, "AlreadyExistsException", "An alias with the name arn:aws:kms:eu-central-1:111122223333:alias/taken already exists"},
		"no prefix":        {b.admin, "CreateAlias", params{"AliasName": "taken", "TargetKeyId": id}, "ValidationException", `Alias must start with the prefix "alias/".`},
		"alias on alias":   {b.admin, "CreateAlias", params{"AliasName": "alias/new", "TargetKeyId": "alias/taken"}, "ValidationException", "Aliases must refer to keys. Not aliases"},
		"reserved alias":   {b.admin, "CreateAlias", params{"AliasName": "alias/aws/ebs", "TargetKeyId": id}, "NotAuthorizedException", ""},
		"manage by alias":  {b.admin, "DisableKey", params{"KeyId": "alias/taken"}, "NotFoundException", "Invalid keyId 'alias/taken'"},
		"bad marker":       {b.admin, "ListKeys", params{"Marker": "x"}, "InvalidMarkerException", ""},
		"too soon":         {b.admin, "ScheduleKeyDeletion", params{"KeyId": id, "PendingWindowInDays": 6}, "ValidationException", "1 validation error detected: Value '6' at 'pendingWindowInDays' failed to satisfy constraint: Member must have value greater than or equal to 7"},
		"not made here":    {b.admin, "CreateKey", params{"KeySpec": "SM2", "KeyUsage": "SIGN_VERIFY"}, "UnsupportedOperationException", ""},
		"no usage":         {b.admin, "CreateKey", params{"KeySpec": "RSA_2048"}, "ValidationException", "You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys."},
		"not served":       {b.admin, "ListRetirableGrants", params{"RetiringPrincipal": "arn:aws:iam::111122223333:user/u"}, "UnknownOperationException", "ListRetirableGrants is an operation of AWS KMS that this gateway does not have."},
	} {
		if !b.fast && !slices.Contains(shownByCLI, name) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			err := b.refused(t, c.as, c.op, c.in)
			if err.code == tooOld && name == "dry run" {
				t.Skip("this client is older than DryRun (July 2023)")
			}
			wantError(t, err, c.code, c.message)
			if modelled[c.code] && b.fast && err.class != c.code {
				t.Errorf("the client took %v for a %q", err, err.class)
			}
		})
	}
}

// testAuthentication meets the refusals of a signature. It is the last to call:
// it moves the clock.
func (b *bench) testAuthentication(t *testing.T) {
	wrongSecret, wrongKey, wrongRegion := b.admin, b.admin, b.admin
	wrongSecret.secret = strings.ToLower(b.admin.secret)
	wrongKey.id = "AKIAAAAAAAAAAAAAAAAA"
	wrongRegion.region = "us-east-1"
	before := len(b.Records())
	refused := func(as access, code, message string) {
		t.Helper()
		wantError(t, b.refused(t, as, "ListKeys", params{}), code, message)
	}
	refused(wrongSecret, "InvalidSignatureException", "The request signature we calculated does not match the signature you provided.")
	refused(wrongKey, "UnrecognizedClientException", "The security token included in the request is invalid.")
	refused(wrongRegion, "InvalidSignatureException", "Credential should be scoped to a valid Region, not 'us-east-1'.")
	b.Advance(6 * time.Minute)
	refused(b.admin, "InvalidSignatureException", "Signature expired: ")
	b.Advance(-12 * time.Minute)
	refused(b.admin, "InvalidSignatureException", "Signature not yet current: ")
	b.Advance(6 * time.Minute)
	if after := len(b.Records()); after != before {
		t.Errorf("%d records of calls that were not authenticated", after-before)
	}
	b.must(t, b.admin, "ListKeys", params{})
}
