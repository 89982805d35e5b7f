package vectors

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/google/uuid"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/audit"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/store"
	"github.com/hsmgate/hsmgate/hsm"
	"github.com/hsmgate/hsmgate/hsm/hsmtest"
)

// bench is a gateway with its audit log, which is read as it grows.
type bench struct {
	*gatewaytest.Gateway
	log *os.File
}

func newBench(t *testing.T) *bench {
	t.Helper()
	return newBenchWith(t, gatewaytest.Options{})
}

func newBenchWith(t *testing.T, o gatewaytest.Options) *bench {
	t.Helper()
	o.Imports = gateway.Imports{AllowInMemory: true} // SoftHSM unwraps no secrets by itself, nor anything by SHA-256
	g := gatewaytest.NewWith(t, o)
	log, err := os.Open(g.AuditPath)
	must(t, err)
	t.Cleanup(func() { log.Close() })
	return &bench{g, log}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// records are those since the last call, without 'started' ones.
func (b *bench) records(t testing.TB) (ended []audit.Record) {
	t.Helper()
	data, err := io.ReadAll(b.log)
	must(t, err)
	for line := range bytes.Lines(data) {
		var r audit.Record
		must(t, json.Unmarshal(line, &r))
		if r.Outcome != "" {
			ended = append(ended, r)
		}
	}
	return ended
}

// reply is what either face answered.
type reply struct {
	status int
	body   []byte
}

// code is the error's, on either face.
func (r reply) code() api.Code {
	var e struct {
		Code string // REST
		Type string `json:"__type"` // AWS
	}
	if json.Unmarshal(r.body, &e) != nil {
		return ""
	}
	return api.Code(e.Code + e.Type)
}

var faces = []string{"rest", "aws"}

// ask calls an operation on a face as the administrator. An empty key is left out.
func (b *bench) ask(t testing.TB, face, op, key string, in any) reply {
	t.Helper()
	if face == "aws" {
		return b.askAWS(t, op, key, in)
	}
	known, ok := gateway.OpNamed(op)
	if !ok {
		t.Fatalf("there is no operation %s", op)
	}
	path := strings.ReplaceAll(known.Path, "{key}", key)
	if key == "" && known.Also != "" {
		path = known.Also
	}
	a := b.Send(b.Admin.Token, known.Method, path, in)
	return reply{a.Status, a.Body}
}

func (b *bench) askAWS(t testing.TB, op, key string, in any) reply {
	t.Helper()
	members := map[string]any{}
	encoded, err := json.Marshal(in)
	must(t, err)
	must(t, json.Unmarshal(encoded, &members))
	if key != "" {
		members["KeyId"] = key
	}
	body, err := json.Marshal(members)
	must(t, err)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.URL+"/", bytes.NewReader(body))
	must(t, err)
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "TrentService."+op)
	sum := sha256.Sum256(body)
	as := aws.Credentials{AccessKeyID: b.Admin.AccessKeyID, SecretAccessKey: b.Admin.SecretAccessKey}
	must(t, v4.NewSigner().SignHTTP(context.Background(), as, r, hex.EncodeToString(sum[:]), "kms", gatewaytest.Region, b.Now()))
	response, err := http.DefaultClient.Do(r)
	must(t, err)
	defer response.Body.Close()
	read, err := io.ReadAll(response.Body)
	must(t, err)
	return reply{response.StatusCode, read}
}

// do calls an operation, which has to succeed, on REST.
func (b *bench) do(t testing.TB, op, key string, in, out any) {
	t.Helper()
	a := b.ask(t, "rest", op, key, in)
	if a.status != 200 {
		t.Fatalf("%s: %d %s", op, a.status, a.body)
	}
	if out != nil {
		must(t, json.Unmarshal(a.body, out))
	}
}

// refused calls an operation on both faces. Each has to refuse it as the caller's
// fault with that code, in one record.
func (b *bench) refused(t testing.TB, what, op, key string, in any, want api.Code) {
	t.Helper()
	for _, face := range faces {
		b.records(t)
		a := b.ask(t, face, op, key, in)
		if a.status < 400 || a.status > 499 || a.code() != want {
			t.Errorf("%s: %s on %s answers %d %s, want %s", what, op, face, a.status, a.body, want)
		}
		got := b.records(t)
		if len(got) != 1 || got[0].Operation != op || got[0].ErrorCode != string(want) || got[0].Outcome == "allowed" {
			t.Errorf("%s: %s on %s leaves the records %+v", what, op, face, got)
		}
	}
}

// external makes a key that waits for material.
func (b *bench) external(t testing.TB, spec api.KeySpec, usage api.KeyUsage) string {
	t.Helper()
	var out api.CreateKeyResponse
	b.do(t, "CreateKey", "", api.CreateKeyRequest{KeySpec: spec, KeyUsage: usage, Origin: api.OriginExternal}, &out)
	return out.KeyMetadata.KeyId
}

// wrapping are import parameters with the public key in a file.
type wrapping struct {
	api.GetParametersForImportResponse
	how api.WrappingAlgorithm
	pem string
}

// wrapping is by an algorithm that SoftHSM unwraps for itself.
func (b *bench) wrapping(t testing.TB, key string) wrapping {
	t.Helper()
	return b.wrappingBy(t, key, api.WrapRSAAESSHA1)
}

func (b *bench) wrappingBy(t testing.TB, key string, how api.WrappingAlgorithm) wrapping {
	t.Helper()
	w := wrapping{how: how}
	b.do(t, "GetParametersForImport", key, api.GetParametersForImportRequest{WrappingAlgorithm: how, WrappingKeySpec: api.WrappingRSA2048}, &w.GetParametersForImportResponse)
	w.pem = filepath.Join(t.TempDir(), "wrapping.pem")
	must(t, os.WriteFile(w.pem, hsmtest.OpenSSL(t, w.PublicKey, "pkey", "-pubin", "-inform", "DER"), 0o600))
	return w
}

// request is an import of material, wrapped by OpenSSL.
func (w wrapping) request(t testing.TB, material []byte) api.ImportKeyMaterialRequest {
	t.Helper()
	return api.ImportKeyMaterialRequest{ImportToken: w.ImportToken, ExpirationModel: api.KeyMaterialDoesNotExpire,
		EncryptedKeyMaterial: hsmtest.Wrap(t, w.pem, hsm.WrapAlgorithm(w.how), material)}
}

// imported makes a key of this material.
func (b *bench) imported(t testing.TB, spec api.KeySpec, usage api.KeyUsage, material []byte) string {
	t.Helper()
	key := b.external(t, spec, usage)
	b.do(t, "ImportKeyMaterial", key, b.wrapping(t, key).request(t, material), nil)
	return key
}

// adopted makes a key of a public half alone, for what needs no private one.
func (b *bench) adopted(t testing.TB, spec api.KeySpec, usage api.KeyUsage, spki []byte) string {
	t.Helper()
	before := time.Now().Add(-time.Minute)
	k := &store.Key{
		Region: gatewaytest.Region, ID: uuid.NewString(), State: store.StateEnabled, CreatedAt: before,
		Line: store.Line{Spec: string(spec), Usage: string(usage),
			Versions: []store.Version{{Number: 1, ObjectID: hsm.NewID(), PublicKey: spki, CreatedAt: before, CurrentAt: before}}},
	}
	must(t, b.Store.InsertKey(t.Context(), k))
	return k.ID
}

func (b *bench) publicKey(t testing.TB, key string) []byte {
	t.Helper()
	var out api.GetPublicKeyResponse
	b.do(t, "GetPublicKey", key, nil, &out)
	return out.PublicKey
}

// signs is a signature over a message of that type.
func (b *bench) signs(t testing.TB, key string, a api.SigningAlgorithm, kind api.MessageType, message []byte) []byte {
	t.Helper()
	var out api.SignResponse
	b.do(t, "Sign", key, api.SignRequest{Message: message, MessageType: kind, SigningAlgorithm: a}, &out)
	return out.Signature
}

// verifies is true for a good signature; a bad one has to be refused as such.
func (b *bench) verifies(t testing.TB, key string, a api.SigningAlgorithm, kind api.MessageType, message, signature []byte) bool {
	t.Helper()
	r := b.ask(t, "rest", "Verify", key, api.VerifyRequest{Message: message, MessageType: kind, SigningAlgorithm: a, Signature: signature})
	if r.status != 200 && r.code() != api.KMSInvalidSignature {
		t.Errorf("Verify: %d %s", r.status, r.body)
	}
	return r.status == 200
}

func base64Of(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

func hexOf(b []byte) string { return hex.EncodeToString(b) }
