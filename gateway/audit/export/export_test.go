package export

import (
	"crypto/sha256"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/audit"
)

const (
	keyARN = "arn:aws:kms:us-west-2:111122223333:key/0987dcba-09fe-87dc-65ba-ab0987654321"
	alice  = "arn:aws:iam::111122223333:user/Alice"
)

// line is a record as the log writes it, with these members behind the first three.
func line(members string) audit.Line {
	text := `{"seq":17,"prev":"` + strings.Repeat("0", 64) + `","time":"2026-03-04T05:06:07.123456Z",` + members + `}`
	return audit.Line{Seq: 17, Hash: sha256.Sum256([]byte(text)), Text: []byte(text)}
}

func shaped(t *testing.T, format, members string) map[string]any {
	t.Helper()
	of, err := New(format, Home{"000000000000", "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	text, err := of(nil, line(members))
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(text, &out); err != nil || strings.Contains(string(text), "\n") {
		t.Fatalf("%v: %s", err, text)
	}
	return out
}

const signRecord = `"requestId":"8d0b35e0-46cf-48b9-be99-bf2ebc9ab9fb","face":"aws","principal":"` + alice + `","credentialId":"AKIAIOSFODNN7EXAMPLE","sourceAddress":"192.0.2.0","userAgent":"aws-cli","operation":"Sign",` +
	`"resource":"alias/release","keyId":"0987dcba-09fe-87dc-65ba-ab0987654321","keyArn":"` + keyARN + `","keyVersion":2,"algorithm":"RSASSA_PKCS1_V1_5_SHA_256","messageType":"RAW",` +
	`"digest":"sha256:00","signatureHash":"sha256:11","artifactName":"app","outcome":"allowed","reason":"role/user","latencyMicros":1234567,"later":{"kept":[1]}`

// awsSign is the example of Sign in the developer guide of AWS KMS (ct-sign); its member names are the measure of ours.
const awsSign = `{"eventVersion":"","userIdentity":{"type":"IAMUser","principalId":"","arn":"` + alice + `","accountId":"111122223333","accessKeyId":"AKIAIOSFODNN7EXAMPLE","userName":"Alice"},
"eventTime":"","eventSource":"kms.amazonaws.com","eventName":"Sign","awsRegion":"us-west-2","sourceIPAddress":"192.0.2.0","userAgent":"",
"requestParameters":{"messageType":"RAW","keyId":"","signingAlgorithm":"RSASSA_PKCS1_V1_5_SHA_256"},"responseElements":null,"requestID":"8d0b35e0-46cf-48b9-be99-bf2ebc9ab9fb","eventID":"",
"readOnly":true,"resources":[{"accountId":"111122223333","type":"AWS::KMS::Key","ARN":"` + keyARN + `"}],"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"111122223333","eventCategory":"Management"}`

// awsDecrypt is that of Decrypt (ct-decrypt, the version of 2025), without tlsDetails.
const awsDecrypt = `{"eventVersion":"1.11","userIdentity":{"type":"IAMUser","principalId":"","arn":"` + alice + `","accountId":"111122223333","accessKeyId":"ASIAIOSFODNN7EXAMPLE","userName":"Alice"},
"eventTime":"2026-03-04T05:06:07Z","eventSource":"kms.amazonaws.com","eventName":"Decrypt","awsRegion":"us-west-2","sourceIPAddress":"192.0.2.0","userAgent":"",
"requestParameters":{"encryptionAlgorithm":"SYMMETRIC_DEFAULT","keyId":"` + keyARN + `","encryptionContext":{"Department":"Engineering","Project":"Alpha"}},"responseElements":null,
"additionalEventData":{"keyMaterialId":""},"requestID":"","eventID":"","readOnly":true,"resources":[{"accountId":"111122223333","type":"AWS::KMS::Key","ARN":"` + keyARN + `"}],
"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"111122223333","eventCategory":"Management"}`

// same compares an event with AWS's example: the same names at every level, and the same value wherever the example has one.
func same(t *testing.T, path string, got, want any) {
	t.Helper()
	switch want := want.(type) {
	case map[string]any:
		got, ok := got.(map[string]any)
		if !ok {
			t.Errorf("%s is %v", path, got)
			return
		}
		if path == ".additionalEventData" {
			return // ours
		}
		if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, slices.Sorted(maps.Keys(want))) {
			t.Errorf("%s has the members %q, AWS %q", path, names, slices.Sorted(maps.Keys(want)))
		}
		for name := range want {
			same(t, path+"."+name, got[name], want[name])
		}
	case []any:
		for i, item := range want {
			same(t, path, got.([]any)[i], item)
		}
	default:
		if want != "" && got != want {
			t.Errorf("%s is %v, with AWS %v", path, got, want)
		}
	}
}

func TestCloudTrailHasTheMembersOfAWS(t *testing.T) {
	decrypt := `"requestId":"r","face":"rest","principal":"` + alice + `","credentialId":"ASIAIOSFODNN7EXAMPLE","sourceAddress":"192.0.2.0","userAgent":"x","operation":"Decrypt","resource":"` + keyARN +
		`","keyId":"0987","keyArn":"` + keyARN + `","keyVersion":1,"algorithm":"SYMMETRIC_DEFAULT","encryptionContext":{"Department":"Engineering","Project":"Alpha"},"outcome":"allowed"`
	for _, test := range []struct{ record, aws string }{{signRecord, awsSign}, {decrypt, awsDecrypt}} {
		var want map[string]any
		if err := json.Unmarshal([]byte(test.aws), &want); err != nil {
			t.Fatal(err)
		}
		want["additionalEventData"] = map[string]any{}
		same(t, "", shaped(t, "cloudtrail", test.record), want)
	}
}

func TestCloudTrailKeepsOurs(t *testing.T) {
	got := shaped(t, "cloudtrail", signRecord)
	more := got["additionalEventData"].(map[string]any)
	for _, name := range []string{"seq", "prev", "hash", "time", "face", "keyVersion", "digest", "signatureHash", "artifactName", "outcome", "reason", "latencyMicros", "later", "keyArn"} {
		if more[name] == nil {
			t.Errorf("additionalEventData has no %s", name)
		}
	}
	if more["credentialId"] != nil {
		t.Error("the access key is there twice")
	}
	id := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	if again := shaped(t, "cloudtrail", signRecord); !id.MatchString(got["eventID"].(string)) || again["eventID"] != got["eventID"] {
		t.Error(got["eventID"], again["eventID"])
	}
	if other := shaped(t, "cloudtrail", signRecord+`,"x":1`); other["eventID"] == got["eventID"] {
		t.Error("two records have one id")
	}
}

func TestCloudTrailIdentity(t *testing.T) {
	for _, test := range []struct{ record, want string }{
		{`"principal":"arn:aws:sts::111122223333:assumed-role/release/run-7","provider":"github","subject":"repo:a/b","operation":"Sign"`,
			`{"accountId":"111122223333","arn":"arn:aws:sts::111122223333:assumed-role/release/run-7","principalId":"release:run-7","sessionContext":{"sessionIssuer":{"accountId":"111122223333",` +
				`"arn":"arn:aws:iam::111122223333:role/release","principalId":"release","type":"Role","userName":"release"},"webIdFederationData":{"attributes":{"sub":"repo:a/b"},"federatedProvider":"github"}},"type":"AssumedRole"}`},
		{`"provider":"github","subject":"repo:a/b","operation":"AssumeRoleWithWebIdentity"`,
			`{"identityProvider":"github","principalId":"github:repo:a/b","type":"WebIdentityUser","userName":"repo:a/b"}`},
		{`"principal":"arn:aws:iam::111122223333:root","operation":"ListKeys"`, `{"accountId":"111122223333","arn":"arn:aws:iam::111122223333:root","type":"Root"}`},
		{`"principal":"arn:aws:sts::111122223333:federated-user/bob","operation":"ListKeys"`,
			`{"accountId":"111122223333","arn":"arn:aws:sts::111122223333:federated-user/bob","principalId":"bob","type":"FederatedUser","userName":"bob"}`},
		{`"principal":"` + alice + `","credentialId":"mfrggzdfmztwq2lk","operation":"Sign"`, // a bearer token
			`{"accountId":"111122223333","arn":"` + alice + `","credentialId":"mfrggzdfmztwq2lk","principalId":"Alice","type":"IAMUser","userName":"Alice"}`},
		{`"face":"internal","operation":"RotateKey"`, `{"invokedBy":"hsmgate","type":"AWSService"}`},
		{`"operation":"Alert"`, `{"type":"Unknown"}`},
	} {
		got, err := json.Marshal(shaped(t, "cloudtrail", test.record)["userIdentity"])
		if err != nil || string(got) != test.want {
			t.Errorf("%s\n%s, want\n%s", test.record, got, test.want)
		}
	}
}

func TestCloudTrailRequests(t *testing.T) {
	const other = "arn:aws:kms:eu-west-1:111122223333:key/other"
	for _, test := range []struct{ record, member, want string }{
		{`"operation":"ReEncrypt","resource":"alias/a","keyArn":"` + keyARN + `","sourceKeyArn":"` + other + `","algorithm":"SYMMETRIC_DEFAULT","encryptionContext":{"a":"b"},"sourceEncryptionContext":{"c":"d"}`,
			"requestParameters", `{"destinationEncryptionAlgorithm":"SYMMETRIC_DEFAULT","destinationEncryptionContext":{"a":"b"},"destinationKeyId":"alias/a","sourceEncryptionContext":{"c":"d"},"sourceKeyId":"` + other + `"}`},
		{`"operation":"CreateAlias","resource":"arn:aws:kms:us-west-2:111122223333:alias/x","keyArn":"` + keyARN + `"`, "requestParameters", `{"aliasName":"alias/x","targetKeyId":"` + keyARN + `"}`},
		{`"operation":"DeleteAlias","resource":"arn:aws:kms:us-west-2:111122223333:alias/x"`, "requestParameters", `{"aliasName":"alias/x"}`},
		{`"operation":"CreateGrant","resource":"k","grantId":"g","grantee":"` + alice + `","grantOperations":"Sign,Verify","keyArn":"` + keyARN + `","outcome":"allowed"`,
			"requestParameters", `{"granteePrincipal":"` + alice + `","keyId":"k","operations":["Sign","Verify"]}`},
		{`"operation":"CreateGrant","resource":"k","grantId":"g","keyArn":"` + keyARN + `","outcome":"allowed"`, "responseElements", `{"grantId":"g","keyId":"` + keyARN + `"}`},
		{`"operation":"CreateKey","keyId":"i","keyArn":"` + keyARN + `","outcome":"allowed"`, "responseElements", `{"keyMetadata":{"aWSAccountId":"111122223333","arn":"` + keyARN + `","keyId":"i"}}`},
		{`"operation":"ListKeys"`, "requestParameters", `null`},
		{`"operation":"Sign","outcome":"denied","errorCode":"AccessDeniedException","reason":"key/1"`, "errorCode", `"AccessDenied"`},
		{`"operation":"Sign","outcome":"denied","errorCode":"AccessDeniedException","reason":"key/1"`, "errorMessage", `"Sign was denied, decided by key/1"`},
		{`"operation":"Sign","outcome":"failed","errorCode":"ThrottlingException"`, "errorCode", `"ThrottlingException"`},
		{`"operation":"PutApprovalRule"`, "eventSource", `"hsmgate"`},
		{`"operation":"AssumeRole"`, "eventSource", `"sts.amazonaws.com"`},
		{`"operation":"ListKeys"`, "awsRegion", `"us-east-1"`},
		{`"operation":"PutKeyPolicy"`, "readOnly", `false`},
		{`"face":"internal","operation":"DeleteKey"`, "eventType", `"AwsServiceEvent"`},
	} {
		if got, err := json.Marshal(shaped(t, "cloudtrail", test.record)[test.member]); err != nil || string(got) != test.want {
			t.Errorf("%s of %s is %s, want %s", test.member, test.record, got, test.want)
		}
	}
}

func TestJSONLinesAreTheRecords(t *testing.T) {
	of, err := New("jsonl", Home{})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := of([]byte("x"), line(signRecord)); err != nil || string(got) != "x"+string(line(signRecord).Text) {
		t.Error(string(got), err)
	}
	if _, err := New("xml", Home{}); err == nil || !strings.Contains(err.Error(), "jsonl, cloudtrail, ocsf") {
		t.Error(err)
	}
}
