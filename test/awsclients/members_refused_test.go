package awsclients

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
)

// refusedMember is what the gateway refuses by design: an operation with all its
// members, or one of them, in a call with all that may stand beside it.
type refusedMember struct {
	members       string // such as Decrypt.Recipient, or an operation
	in            params // nil: another test calls it
	code, message string
}

func (r refusedMember) is(member string) bool {
	return member == r.members || strings.HasPrefix(member, r.members+".")
}

var (
	recipient = params{"KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256", "AttestationDocument": []byte("x")}
	proxy     = params{
		"XksProxyUriEndpoint": "https://proxy.example.com", "XksProxyUriPath": "/example/kms/xks/v1", "XksProxyConnectivity": "VPC_ENDPOINT_SERVICE",
		"XksProxyVpcEndpointServiceName": "com.amazonaws.vpce.eu-central-1.vpce-svc-example", "XksProxyVpcEndpointServiceOwner": gatewaytest.Account,
		"XksProxyAuthenticationCredential": params{"AccessKeyId": "ABCDE234567EXAMPLEAB", "RawSecretAccessKey": proxySecret},
		"KeyStorePassword":                 storePassword, "CloudHsmClusterId": "cluster-2a23b4cdefg",
	}
)

const (
	proxySecret   = "TheSecretKeyOfAProxyWhichNobodyHasOrEverHad1"
	storePassword = "the-password-of-the-store"

	unsupported = "UnsupportedOperationException"
	notByCall   = "Custom key stores are not made, changed or removed by API"
	noEnclave   = "Recipient is not supported"
	noService   = "Service principals never call this gateway."
)

// refusedMembers: KEY in their members is a key of the usage that they need.
var refusedMembers = []refusedMember{
	{"CreateCustomKeyStore", with(proxy, params{"CustomKeyStoreName": "third", "CustomKeyStoreType": "EXTERNAL_KEY_STORE", "TrustAnchorCertificate": "-----BEGIN CERTIFICATE-----"}), unsupported, notByCall},
	{"UpdateCustomKeyStore", with(proxy, params{"CustomKeyStoreId": "second", "NewCustomKeyStoreName": "third"}), unsupported, notByCall},
	{"DeleteCustomKeyStore", params{"CustomKeyStoreId": "second"}, unsupported, notByCall},
	{"CreateKey.XksKeyId", params{"Origin": "EXTERNAL_KEY_STORE", "XksKeyId": "bb8562717f809024"}, unsupported, "Keys are made inside the tokens of this gateway"},
	{"CreateGrant.GranteeServicePrincipal", params{"KeyId": "SYMMETRIC_DEFAULT", "GranteeServicePrincipal": "s3.amazonaws.com", "Operations": []string{"Decrypt"}}, unsupported, noService},
	{"CreateGrant.RetiringServicePrincipal", params{"KeyId": "SYMMETRIC_DEFAULT", "RetiringServicePrincipal": "s3.amazonaws.com", "Operations": []string{"Decrypt"}}, unsupported, noService},
	{"CreateGrant.Constraints.SourceArn", params{"KeyId": "SYMMETRIC_DEFAULT", "GranteePrincipal": "arn:aws:iam::" + gatewaytest.Account + ":user/admin", "Operations": []string{"Decrypt"},
		"Constraints": params{"SourceArn": "arn:aws:sns:eu-central-1:" + gatewaytest.Account + ":topic"}}, unsupported, "Constraints on a SourceArn are not supported"},
	{"ListRetirableGrants.RetiringServicePrincipal", params{"RetiringServicePrincipal": "s3.amazonaws.com"}, "ValidationException", "You must specify a RetiringPrincipal. " + noService},
	{"ListKeyPolicies.Marker", params{"KeyId": "SYMMETRIC_DEFAULT", "Marker": "default"}, "InvalidMarkerException", `Marker "default" is not a NextMarker of ListKeyPolicies, which has one page.`},
	{"Decrypt.Recipient", params{"KeyId": "SYMMETRIC_DEFAULT", "CiphertextBlob": []byte("x"), "Recipient": recipient}, unsupported, noEnclave},
	{"DeriveSharedSecret.Recipient", params{"KeyId": "ECC_NIST_P256 KEY_AGREEMENT", "KeyAgreementAlgorithm": "ECDH", "PublicKey": []byte("x"), "Recipient": recipient}, unsupported, noEnclave},
	{"GenerateDataKey.Recipient", params{"KeyId": "SYMMETRIC_DEFAULT", "KeySpec": "AES_256", "Recipient": recipient}, unsupported, noEnclave},
	{"GenerateDataKeyPair.Recipient", params{"KeyId": "SYMMETRIC_DEFAULT", "KeyPairSpec": "ECC_NIST_P256", "Recipient": recipient}, unsupported, noEnclave},
	{"GenerateRandom.Recipient", params{"NumberOfBytes": 32, "Recipient": recipient}, unsupported, noEnclave},
	// SoftHSM has no ML-KEM keys; testGranted calls it with all its members.
	{members: "Decapsulate", code: unsupported},
}

// testRefusedMembers has each refused in its own words, and looks that nothing was
// made and that no secret of a key store is in a log.
func (b *bench) testRefusedMembers(t *testing.T) {
	keys := map[string]string{}
	for _, r := range refusedMembers {
		if kind, ok := r.in["KeyId"].(string); ok && keys[kind] == "" {
			spec, usage, _ := strings.Cut(kind, " ")
			_, keys[kind] = b.create(t, spec, or(usage, "ENCRYPT_DECRYPT"))
		}
	}
	there := func() string {
		t.Helper()
		return b.must(t, b.admin, "ListKeys", params{"Limit": 1000}).text(t) + b.must(t, b.admin, "DescribeCustomKeyStores", params{}).text(t) +
			b.must(t, b.admin, "ListGrants", params{"KeyId": keys["SYMMETRIC_DEFAULT"]}).text(t)
	}
	before := there()
	for _, r := range refusedMembers {
		if r.in == nil {
			continue
		}
		in := with(r.in, params{})
		if kind, ok := in["KeyId"].(string); ok {
			in["KeyId"] = keys[kind]
		}
		op, _, _ := strings.Cut(r.members, ".")
		wantError(t, b.refused(t, b.admin, op, in), r.code, r.message)
	}
	if after := there(); after != before {
		t.Errorf("what was refused is there:\n%s\nbefore:\n%s", after, before)
	}
	audited, err := os.ReadFile(b.AuditPath)
	must(t, err)
	logs := string(audited) + fmt.Sprint(b.Lines.All())
	for _, secret := range []string{proxySecret, storePassword} {
		if strings.Contains(logs, secret) {
			t.Errorf("%s is in a log", secret)
		}
	}
}
