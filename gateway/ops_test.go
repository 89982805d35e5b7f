package gateway_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/audit"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/policy"
	"github.com/hsmgate/hsmgate/hsm"
	"github.com/hsmgate/hsmgate/hsm/hsmtest"
)

// example is how one operation is called.
type example struct {
	good    any    // a body that works, or nil
	query   string // the same with GET
	bad     string // a body or, with GET, a query that does not
	needs   string // what has to be there for the operation to work: "token", "store", or "" where memory is enough
	crypto  api.SigningAlgorithm
	message api.MessageType
	refused api.Code // what the good body is answered with, whoever asks: not offered, or more than SoftHSM can do
}

// examples holds every operation: a new one is to be added here.
func examples(p *parts) map[string]example {
	all := keyExamples(p)
	maps.Copy(all, placeExamples)
	maps.Copy(all, approvalExamples(p))
	maps.Copy(all, accessKeyExamples(p))
	return all
}

// placeExamples are the operations on regions and key stores.
var placeExamples = map[string]example{
	"ReplicateKey":             {good: map[string]any{"ReplicaRegion": "eu-west-1"}, bad: `{}`, needs: "store"},
	"UpdatePrimaryRegion":      {good: map[string]any{"PrimaryRegion": "eu-west-1"}, bad: `{}`, needs: "store"},
	"ExplainAccess":            {good: map[string]any{"Principal": "nobody", "Action": "kms:ListKeys"}, bad: `{}`},
	"GetUsage":                 {bad: "?Hours=673"},
	"PublishKey":               {good: map[string]any{"Name": "release"}, bad: `{}`, needs: "store"},
	"UnpublishKey":             {bad: `{"X":1}`, needs: "store"},
	"ListPublications":         {bad: "?X=1"},
	"GetReceipt":               {query: "?RecordNumber=1", bad: "?RecordNumber=0"},
	"CreateCustomKeyStore":     {good: map[string]any{"CustomKeyStoreName": "x"}, bad: `{}`, refused: api.UnsupportedOperation},
	"DescribeCustomKeyStores":  {bad: "?Limit=0"},
	"UpdateCustomKeyStore":     {good: map[string]any{"CustomKeyStoreId": "on"}, bad: `{}`, refused: api.UnsupportedOperation},
	"DeleteCustomKeyStore":     {good: map[string]any{"CustomKeyStoreId": "on"}, bad: `{}`, refused: api.UnsupportedOperation},
	"ConnectCustomKeyStore":    {good: map[string]any{"CustomKeyStoreId": "off"}, bad: `{}`, needs: "store"},
	"DisconnectCustomKeyStore": {good: map[string]any{"CustomKeyStoreId": "on"}, bad: `{}`, needs: "store"},
}

// aDigest is one to be approved.
var aDigest = api.DigestToSign{Digest: "sha256:" + strings.Repeat("0", 64)}

// approvalExamples are the operations on approvals.
func approvalExamples(p *parts) map[string]example {
	named := later(func() any { return map[string]any{"ApprovalId": p.request.ApprovalId} })
	return map[string]example{
		"PutApprovalRule":    {good: map[string]any{"Approvers": []string{p.g.Admin.ARN}, "Required": 1}, bad: `{}`, needs: "store"},
		"DeleteApprovalRule": {bad: `{"X":1}`, needs: "store"},
		"GetApprovalRule":    {bad: "?X=1"},
		"RequestApproval":    {good: map[string]any{"Digests": []api.DigestToSign{aDigest}}, bad: `{}`, needs: "store"},
		"ListApprovals":      {bad: "?Limit=0"},
		"DescribeApproval":   {query: "?ApprovalId=" + p.asked.ApprovalId, bad: "?ApprovalId=x"},
		"ApproveRequest":     {good: later(func() any { return map[string]any{"ApprovalId": p.request.ApprovalId, "Hash": p.request.Hash} }), bad: `{}`, needs: "store"},
		"RejectRequest":      {good: named, bad: `{}`, needs: "store"},
		"CancelApproval":     {good: named, bad: `{}`, needs: "store"},
	}
}

// ask opens a request on ruled; where it fails, the examples do.
func (p *parts) ask() {
	a := p.g.Send(p.asker.Token, "POST", "/v1/keys/"+p.ruled+"/approvals", map[string]any{"Digests": []api.DigestToSign{aDigest}})
	_ = json.Unmarshal(a.Body, &p.request)
}

func accessKeyExamples(p *parts) map[string]example {
	made := func(status string) later {
		return func() any {
			body := map[string]any{"UserName": "nobody", "AccessKeyId": p.accessKey}
			if status != "" {
				body["Status"] = status
			}
			return body
		}
	}
	return map[string]example{
		"CreateAccessKey": {good: map[string]any{"UserName": "nobody"}, bad: `{"UserName":"a b"}`, needs: "store"},
		"ListAccessKeys":  {query: "?UserName=nobody", bad: "?UserName=a%20b"},
		"UpdateAccessKey": {good: made("Inactive"), bad: `{"AccessKeyId":"AKIAAAAAAAAAAAAAAAAA","Status":"active"}`, needs: "store"},
		"DeleteAccessKey": {good: made(""), bad: `{}`, needs: "store"},
	}
}

func keyExamples(p *parts) map[string]example {
	ecdsa := map[string]any{"Message": digest(hashOf(api.ECDSASHA256), []byte("m")), "MessageType": "DIGEST", "SigningAlgorithm": api.ECDSASHA256}
	verify := map[string]any{"Signature": p.signature}
	for name, v := range ecdsa {
		verify[name] = v
	}
	return map[string]example{
		"CreateKey":            {good: map[string]any{"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"}, bad: `{"KeySpec":"X"}`, needs: "token"},
		"ListKeys":             {bad: "?Limit=0"},
		"DescribeKey":          {bad: "?X=1"},
		"GetPublicKey":         {bad: "?X=1"},
		"Sign":                 {good: ecdsa, bad: `{`, needs: "token", crypto: api.ECDSASHA256, message: api.Digest},
		"SignBatch":            {good: map[string]any{"Items": []any{ecdsa}}, bad: `{"Items":[]}`, needs: "token"},
		"Verify":               {good: verify, bad: `{}`, crypto: api.ECDSASHA256, message: api.Digest},
		"Encrypt":              {good: map[string]any{"Plaintext": []byte("m"), "EncryptionAlgorithm": "RSAES_OAEP_SHA_1"}, bad: `{}`},
		"Decrypt":              {good: map[string]any{"CiphertextBlob": p.ciphertext, "EncryptionAlgorithm": "RSAES_OAEP_SHA_1"}, bad: `{}`, needs: "token"},
		"EnableKey":            {bad: `{"X":1}`, needs: "store"},
		"DisableKey":           {bad: `{"X":1}`, needs: "store"},
		"ScheduleKeyDeletion":  {good: map[string]any{"PendingWindowInDays": 7}, bad: `{"PendingWindowInDays":1}`, needs: "store"},
		"CancelKeyDeletion":    {bad: `{"X":1}`, needs: "store"},
		"EnableKeyRotation":    {good: map[string]any{"RotationPeriodInDays": 90}, bad: `{"RotationPeriodInDays":1}`, needs: "store"},
		"DisableKeyRotation":   {bad: `{"X":1}`, needs: "store"},
		"GetKeyRotationStatus": {bad: "?X=1"},
		"RotateKeyOnDemand":    {bad: `{"X":1}`, needs: "store"},
		"ListKeyRotations":     {bad: "?Limit=0"},
		"ListPublicKeys":       {bad: "?X=1"},
		"GetKeyHistory":        {bad: "?X=1", needs: "token"},
		"CreateAlias":          {good: map[string]any{"AliasName": "alias/new", "TargetKeyId": p.spare}, bad: `{}`, needs: "store"},
		"UpdateAlias":          {good: map[string]any{"TargetKeyId": p.spare}, bad: `{}`, needs: "store"},
		"DeleteAlias":          {bad: `{"X":1}`, needs: "store"},
		"ListAliases":          {bad: "?Limit=0"},

		"UpdateKeyDescription": {good: map[string]any{"Description": "another"}, bad: `{}`, needs: "store"},
		"TagResource":          {good: map[string]any{"Tags": []api.Tag{{TagKey: "a", TagValue: "b"}}}, bad: `{}`, needs: "store"},
		"UntagResource":        {good: map[string]any{"TagKeys": []string{"a"}}, bad: `{}`, needs: "store"},
		"ListResourceTags":     {bad: "?Limit=51"},
		"GetKeyLastUsage":      {bad: "?X=1"},

		"GetParametersForImport":    {good: map[string]any{"WrappingAlgorithm": "RSAES_OAEP_SHA_1", "WrappingKeySpec": "RSA_2048"}, bad: `{}`, needs: "store"},
		"ImportKeyMaterial":         {good: p.material, bad: `{}`, needs: "store"},
		"DeleteImportedKeyMaterial": {bad: `{"KeyMaterialId":"x"}`, needs: "store"},

		"GetKeyPolicy":                        {bad: "?X=1"},
		"PutKeyPolicy":                        {good: map[string]any{"Policy": wholePolicy}, bad: `{}`, needs: "store"},
		"ListKeyPolicies":                     {bad: "?Limit=0"},
		"CreateGrant":                         {good: map[string]any{"GranteePrincipal": p.user.ARN, "Operations": []string{"Sign"}}, bad: `{}`, needs: "store"},
		"ListGrants":                          {bad: "?Limit=0"},
		"RevokeGrant":                         {good: later(func() any { return map[string]any{"GrantId": p.grant.GrantId} }), bad: `{}`, needs: "store"},
		"RetireGrant":                         {good: later(func() any { return map[string]any{"GrantToken": p.grant.GrantToken} }), bad: `{"X":1}`, needs: "store"},
		"ListRetirableGrants":                 {query: "?RetiringPrincipal=" + p.user.ARN, bad: "?Limit=0"},
		"ReEncrypt":                           {good: map[string]any{"CiphertextBlob": p.sealed, "DestinationKeyId": p.decrypting, "DestinationEncryptionAlgorithm": "RSAES_OAEP_SHA_1"}, bad: `{}`, needs: "token"},
		"GenerateDataKey":                     {good: map[string]any{"KeySpec": "AES_256"}, bad: `{}`, needs: "token"},
		"GenerateDataKeyWithoutPlaintext":     {good: map[string]any{"NumberOfBytes": 1024}, bad: `{"NumberOfBytes":1025}`, needs: "token"},
		"GenerateDataKeyPair":                 {good: map[string]any{"KeyPairSpec": "ECC_NIST_P256"}, bad: `{}`, needs: "token"},
		"GenerateDataKeyPairWithoutPlaintext": {good: map[string]any{"KeyPairSpec": "ECC_NIST_EDWARDS25519"}, bad: `{"KeyPairSpec":"SM2"}`, needs: "token"},
		"GenerateMac":                         {good: map[string]any{"Message": []byte("m"), "MacAlgorithm": "HMAC_SHA_256"}, bad: `{}`, needs: "token"},
		"VerifyMac":                           {good: map[string]any{"Message": []byte("m"), "Mac": p.mac, "MacAlgorithm": "HMAC_SHA_256"}, bad: `{}`, needs: "token"},
		"DeriveSharedSecret":                  {good: map[string]any{"PublicKey": p.peer, "KeyAgreementAlgorithm": "ECDH"}, bad: `{}`, needs: "token"},
		"Encapsulate":                         {good: map[string]any{"EncapsulationAlgorithm": "ML_KEM"}, bad: `{}`},
		"Decapsulate":                         {good: map[string]any{"EncapsulationAlgorithm": "ML_KEM", "SharedSecretCiphertextBlob": make([]byte, 1088)}, bad: `{}`, refused: api.UnsupportedOperation},
		"GenerateRandom":                      {good: map[string]any{"NumberOfBytes": 32}, bad: `{}`, needs: "token"},
	}
}

// later is a body that is made when it is sent.
type later func() any

func (l later) MarshalJSON() ([]byte, error) { return json.Marshal(l()) }

// wholePolicy is AWS KMS's default policy.
const wholePolicy = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + gatewaytest.Account + `:root"},"Action":"kms:*","Resource":"*"}}`

// parts are what the operations are called on.
type parts struct {
	grant               api.CreateGrantResponse // on spare
	g                   *gatewaytest.Gateway
	user                gatewaytest.Credentials
	signing, decrypting string
	ruled               string // a key with an approval rule, whose approver the administrator is
	asker               gatewaytest.Credentials
	asked, request      api.ApprovalRequested // for ruled, by asker: the first, and one that is open
	spare, waiting      string                // keys for changes of state and for aliases; waiting waits for its deletion
	imported            string                // a key of origin EXTERNAL
	material            api.ImportKeyMaterialRequest
	single, moving      string // multi-Region keys: one without a replica, one with
	signature           []byte
	ciphertext          []byte
	symmetric, hmac     string
	agreeing, kem       string
	sealed, mac, peer   []byte // of symmetric, of hmac, and a public key for agreeing
	accessKey           string // of user
	records             int    // in the log at the last look
}

func newParts(t *testing.T) *parts {
	t.Helper()
	token := hsmtest.NewToken(t)
	g := gatewaytest.NewWith(t, gatewaytest.Options{
		Regions: []string{"eu-west-1", "eu-west-2"}, KeyStores: map[string]hsm.Config{"on": token, "off": token},
		Tree:     &gateway.Tree{Origin: "log.example.com/ops"},
		Quotas:   gateway.Quotas{AccessKeysPerUser: 10_000},
		Rotation: gateway.Rotation{Overlap: -1}, // so that a key can be rotated twice
	})
	p := &parts{g: g, user: g.Principal("nobody", policy.RoleUser)}
	keeps(t, g)
	p.signing = g.CreateKey(api.P256, api.SignVerify).KeyId
	p.spare = g.CreateKey(api.P256, api.SignVerify).KeyId
	p.waiting = g.CreateKey(api.P256, api.SignVerify).KeyId
	for _, id := range []*string{&p.single, &p.moving} {
		var out api.CreateKeyResponse
		g.Call("POST", "/v1/keys", api.CreateKeyRequest{KeySpec: api.P256, KeyUsage: api.SignVerify, MultiRegion: true}, &out)
		*id = out.KeyMetadata.KeyId
	}
	g.Call("POST", "/v1/keys/"+p.moving+"/replicate", map[string]any{"ReplicaRegion": "eu-west-1"}, nil)
	p.decrypting = g.CreateKey(api.RSA2048, api.EncryptDecrypt).KeyId
	p.imported = external(t, g, api.P256, api.SignVerify).KeyId
	p.material = parameters(t, g, p.imported, api.WrapOAEPSHA1, api.WrappingRSA2048).request(t, hsmtest.MaterialOf(t, hsm.NISTP256, hsm.UseSign).Value)
	bring(t, g, p.imported, p.material)
	p.signature = sign(t, g, p.signing, api.SignRequest{Message: []byte("m"), SigningAlgorithm: api.ECDSASHA256})
	var out api.EncryptResponse
	g.Call("POST", "/v1/keys/"+p.decrypting+"/encrypt", api.EncryptRequest{Plaintext: []byte("m"), EncryptionAlgorithm: api.OAEPSHA1}, &out)
	p.ciphertext = out.CiphertextBlob
	p.secrets(t)
	p.ruled = g.CreateKey(api.P256, api.SignVerify).KeyId
	p.asker = g.Principal("asker", policy.RoleUser, p.ruled)
	g.Call("PUT", "/v1/keys/"+p.ruled+"/approval-rule", api.ApprovalRule{Approvers: []string{g.Admin.ARN}, Required: 1}, nil)
	p.ask()
	p.asked = p.request
	return p
}

// secrets makes the keys that do not sign.
func (p *parts) secrets(t *testing.T) {
	t.Helper()
	g := p.g
	p.symmetric = g.CreateKey(api.Symmetric, api.EncryptDecrypt).KeyId
	p.hmac = g.CreateKey(api.HMAC256, api.GenerateVerifyMac).KeyId
	p.agreeing = g.CreateKey(api.P256, api.KeyAgreement).KeyId
	p.peer = publicDER(t, g, p.signing)
	p.sealed = encrypt(g, p.symmetric, []byte("m"), nil)
	var mac api.GenerateMacResponse
	g.Call("POST", "/v1/keys/"+p.hmac+"/generate-mac", api.GenerateMacRequest{Message: []byte("m"), MacAlgorithm: api.HMACSHA256}, &mac)
	p.mac = mac.Mac
	var pair api.GenerateDataKeyPairResponse // SoftHSM makes no such key, so that one is adopted
	g.Call("POST", "/v1/keys/"+p.symmetric+"/generate-data-key-pair", api.GenerateDataKeyPairRequest{KeyPairSpec: api.MLKEM768}, &pair)
	p.kem = adopt(t, g, api.MLKEM768, api.EncapsulateDecapsulate, pair.PublicKey)
}

// key is the key that an operation is tried on.
func (p *parts) key(op *gateway.Op) string {
	switch op.Name {
	case "Encrypt", "Decrypt":
		return p.decrypting
	case "GenerateDataKey", "GenerateDataKeyWithoutPlaintext", "GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext":
		return p.symmetric
	case "GenerateMac", "VerifyMac":
		return p.hmac
	case "DeriveSharedSecret":
		return p.agreeing
	case "Encapsulate", "Decapsulate":
		return p.kem
	case "CancelKeyDeletion":
		return p.waiting
	case "GetParametersForImport", "ImportKeyMaterial", "DeleteImportedKeyMaterial":
		return p.imported
	case "ReplicateKey":
		return p.single
	case "UpdatePrimaryRegion":
		return p.moving
	case "PutApprovalRule", "DeleteApprovalRule", "GetApprovalRule", "RequestApproval", "ListApprovals", "DescribeApproval", "ApproveRequest", "RejectRequest", "CancelApproval":
		return p.ruled
	case "Sign", "SignBatch", "Verify", "DescribeKey", "GetPublicKey", "GetKeyHistory", "PublishKey", "UnpublishKey":
		return p.signing
	}
	return p.spare
}

// reason is what lets the administrator perform an operation: the rule of a key is a
// grant to its approvers.
func (p *parts) reason(op *gateway.Op) string {
	switch op.Permission() {
	case "hsmgate:ApproveRequest", "hsmgate:CancelApproval", "hsmgate:ListApprovals":
		return "grant/approval-rule"
	case "hsmgate:CreateAccessKey", "hsmgate:ListAccessKeys", "hsmgate:UpdateAccessKey", "hsmgate:DeleteAccessKey": // of another user
		return "policy/access-keys/1"
	}
	return "role/administrator"
}

func (p *parts) path(op *gateway.Op) string {
	return strings.NewReplacer("{key}", p.key(op), "{alias}", "alias%2Fold").Replace(op.Path)
}

// prepare brings the spare key and the aliases into the state in which the
// operation works.
func (p *parts) prepare() {
	send := func(method, path string, body any, header ...string) int {
		return p.g.Send(p.g.Admin.Token, method, path, body, header...).Status
	}
	send("PUT", "/v1/keys/"+p.moving+"/primary-region", map[string]any{"PrimaryRegion": gatewaytest.Region}, "Hsmgate-Region", "eu-west-1")
	send("POST", "/v1/custom-key-stores/disconnect", map[string]any{"CustomKeyStoreId": "off"})
	for send("POST", "/v1/custom-key-stores/connect", map[string]any{"CustomKeyStoreId": "on"}) != 200 { // while it is being closed
		time.Sleep(time.Millisecond)
	}
	send("POST", "/v1/keys/"+p.spare+"/cancel-deletion", nil)
	send("POST", "/v1/keys/"+p.spare+"/enable", nil)
	send("DELETE", "/v1/aliases/alias%2Fnew", nil)
	a := p.g.Send(p.g.Admin.Token, "POST", "/v1/keys/"+p.spare+"/grants", map[string]any{"Name": "example", "GranteePrincipal": p.user.ARN, "Operations": []string{"Verify"}})
	_ = json.Unmarshal(a.Body, &p.grant) // where it fails, the examples do
	p.ask()
	var key api.CreateAccessKeyResponse
	if json.Unmarshal(p.g.Send(p.g.Admin.Token, "POST", "/v1/access-keys", map[string]any{"UserName": "nobody"}).Body, &key) == nil && key.AccessKey != nil {
		p.accessKey = key.AccessKey.AccessKeyId
	}
	send("POST", "/v1/aliases", map[string]any{"AliasName": "alias/old", "TargetKeyId": p.spare})
	send("PUT", "/v1/keys/"+p.signing+"/publication", map[string]any{"Name": "release"})
	send("POST", "/v1/keys/"+p.waiting+"/schedule-deletion", nil)
	send("POST", "/v1/keys/"+p.imported+"/import", p.material)
}

// fresh are the outcome records since the last time.
func (p *parts) fresh() []audit.Record {
	all := p.g.Records()
	var kept []audit.Record
	for _, r := range all[p.records:] {
		if r.Phase == "" && r.Face != "internal" {
			kept = append(kept, r)
		}
	}
	p.records = len(all)
	return kept
}

const userAgent = "pipeline/1.0"

func (p *parts) call(t *testing.T, op *gateway.Op, who gatewaytest.Credentials, body any, query string) (gatewaytest.Answer, audit.Record) {
	t.Helper()
	p.fresh()
	before := time.Now()
	a := p.g.Send(who.Token, op.Method, p.path(op)+query, body, "User-Agent", userAgent, "Content-Type", "application/json")
	records := p.fresh()
	if len(records) != 1 {
		t.Fatalf("%s: %d %s left %d records: %+v", op.Name, a.Status, a.Body, len(records), records)
	}
	r := records[0]
	if r.Time.Before(before.Add(-time.Second)) || r.Time.After(time.Now()) || r.RequestID != a.Header.Get("X-Request-Id") || r.Face != "rest" || r.Origin != gatewaytest.Name ||
		r.Principal != who.ARN || r.CredentialID != who.TokenID() || r.SourceAddress != "127.0.0.1" || r.UserAgent != userAgent || r.Operation != op.Name && (op.Name != "SignBatch" || r.Operation != "Sign") || r.LatencyMicros <= 0 {
		t.Errorf("%s: wrong record: %+v", op.Name, r)
	}
	if receipt := a.Header.Get("Hsmgate-Audit-Record"); !strings.HasPrefix(receipt, jsonNumber(r.Seq)+":") {
		t.Errorf("%s: the answer names record %q, not %d", op.Name, receipt, r.Seq)
	}
	return a, r
}

func jsonNumber(n uint64) string {
	b, _ := json.Marshal(n)
	return string(b)
}

// TestEveryCallLeavesOneRecord walks the table of operations: an allowed, a
// denied, an invalid and a failed call of each.
func TestEveryCallLeavesOneRecord(t *testing.T) {
	t.Parallel()
	p := newParts(t)
	all := examples(p)
	for _, op := range gateway.Ops {
		e, ok := all[op.Name]
		if !ok {
			t.Errorf("%s has no example here", op.Name)
			continue
		}
		p.prepare()
		p.invalid(t, op, e)
		p.denied(t, op, e)
		p.allowed(t, op, e)
	}
	p.prepare()
	_ = p.g.Store.Close()
	_ = p.g.Token.Close()
	for _, op := range gateway.Ops {
		if e := all[op.Name]; e.needs != "" {
			p.failed(t, op, e)
		}
	}
}

func (p *parts) invalid(t *testing.T, op *gateway.Op, e example) {
	t.Helper()
	body, query := any(e.bad), ""
	if op.Method == http.MethodGet {
		body, query = nil, e.bad
	}
	a, r := p.call(t, op, p.g.Admin, body, query)
	if a.Status != 400 || r.Outcome != "invalid" || r.ErrorCode != a.Code() || r.SignatureHash != "" {
		t.Errorf("%s, invalid: %d %s %+v", op.Name, a.Status, a.Body, r)
	}
}

func (p *parts) denied(t *testing.T, op *gateway.Op, e example) {
	t.Helper()
	a, r := p.call(t, op, p.user, e.good, e.query)
	if a.Status != 403 || a.Code() != string(api.AccessDenied) || r.Outcome != "denied" || r.ErrorCode != a.Code() || r.SignatureHash != "" || r.Reason == "" {
		t.Errorf("%s, denied: %d %s %+v", op.Name, a.Status, a.Body, r)
	}
	if strings.Contains(op.Path, "{key}") && (r.KeyID != p.key(op) || !strings.HasSuffix(r.KeyARN, p.key(op)) || r.Resource != r.KeyARN) {
		t.Errorf("%s: a denial without its key: %+v", op.Name, r)
	}
}

func (p *parts) allowed(t *testing.T, op *gateway.Op, e example) {
	t.Helper()
	a, r := p.call(t, op, p.g.Admin, e.good, e.query)
	if e.refused != "" {
		if a.Status != 400 || a.Code() != string(e.refused) || r.Outcome != "invalid" || r.ErrorCode != a.Code() {
			t.Errorf("%s, refused: %d %s %+v", op.Name, a.Status, a.Body, r)
		}
		return
	}
	if a.Status != 200 || r.Outcome != "allowed" || r.ErrorCode != "" || r.Reason != p.reason(op) {
		t.Errorf("%s, allowed: %d %s %+v", op.Name, a.Status, a.Body, r)
	}
	aboutKey := strings.Contains(op.Path, "{key}") || op.Name == "CreateAlias" || op.Name == "UpdateAlias" || op.Name == "DeleteAlias"
	if aboutKey && (r.KeyID != p.key(op) || !strings.HasSuffix(r.KeyARN, ":key/"+r.KeyID) || r.Resource == "") {
		t.Errorf("%s: without its key: %+v", op.Name, r)
	}
	if strings.Contains(op.Path, "alias") && aboutKey && !strings.Contains(r.Resource, ":alias/") {
		t.Errorf("%s: without its alias: %+v", op.Name, r)
	}
	if e.crypto == "" {
		return
	}
	signature := p.signature
	if op.Name == "Sign" {
		var out api.SignResponse
		_ = json.Unmarshal(a.Body, &out)
		signature = out.Signature
	}
	digested, hash := sha256.Sum256([]byte("m")), sha256.Sum256(signature)
	if r.KeyVersion != 1 || r.Algorithm != string(e.crypto) || r.MessageType != string(e.message) ||
		r.Digest != "sha256:"+hex.EncodeToString(digested[:]) || r.SignatureHash != "sha256:"+hex.EncodeToString(hash[:]) {
		t.Errorf("%s: %+v", op.Name, r)
	}
}

func (p *parts) failed(t *testing.T, op *gateway.Op, e example) {
	t.Helper()
	body := e.good
	if op.Name == "CreateAlias" {
		body = map[string]any{"AliasName": "alias/another", "TargetKeyId": p.signing}
	}
	if op.Name == "ReplicateKey" {
		body = map[string]any{"ReplicaRegion": "eu-west-2"}
	}
	a, r := p.call(t, op, p.g.Admin, body, "")
	if a.Status < 500 || r.Outcome != "failed" || r.ErrorCode != a.Code() || r.SignatureHash != "" {
		t.Errorf("%s, failed: %d %s %+v", op.Name, a.Status, a.Body, r)
	}
	if e.needs == "token" && op.Name != "CreateKey" && (a.Status != 503 || a.Header.Get("Retry-After") == "") {
		t.Errorf("%s with the token away: %d %s", op.Name, a.Status, a.Body)
	}
}

// TestPanicLeavesOneRecord: a mistake of ours is an internal error to the
// caller, and its cause is in the log alone.
func TestPanicLeavesOneRecord(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	op, _ := gateway.OpNamed("Sign")
	c := &gateway.Call{RequestID: "r-1", Face: "rest", Principal: policy.Principal{ARN: g.Admin.ARN, Role: policy.RoleAdministrator}}
	out, err := g.Service.Do(t.Context(), c, op, func(any) *api.Error { panic("a mistake") })
	if out != nil || err == nil || err.Code != api.Internal || strings.Contains(err.Message, "mistake") || !strings.Contains(err.Message, "r-1") {
		t.Errorf("%v %v", out, err)
	}
	if records := g.Records(); len(records) != 1 || records[0].Outcome != "failed" || records[0].ErrorCode != string(api.Internal) {
		t.Errorf("%+v", records)
	}
	if g.Lines.FilterMessage("panic").Len() != 1 {
		t.Error("the cause is not in the log")
	}
}
