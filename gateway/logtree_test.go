package gateway_test

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/audit/tree"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/policy"
	"github.com/hsmgate/hsmgate/gateway/store/storetest"
	"github.com/hsmgate/hsmgate/hsm"
)

const logName = "log.example.com/test"

func withTree(t *testing.T, o gatewaytest.Options) *gatewaytest.Gateway {
	t.Helper()
	o.Tree = &gateway.Tree{Origin: logName, Interval: 50 * time.Millisecond}
	return gatewaytest.NewWith(t, o)
}

// onBothDatabases tries something with a gateway on each, and a key of it that signs, with a receipt or without.
func onBothDatabases(t *testing.T, try func(t *testing.T, g *gatewaytest.Gateway, sign func(receipt bool) gatewaytest.Answer)) {
	t.Helper()
	for name, o := range map[string]func(testing.TB) gatewaytest.Options{
		"sqlite":   func(testing.TB) gatewaytest.Options { return gatewaytest.Options{} },
		"postgres": func(t testing.TB) gatewaytest.Options { return gatewaytest.Options{StoreDSN: storetest.DSN(t)} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := withTree(t, o(t))
			key := g.CreateKey(api.P256, api.SignVerify).KeyId
			try(t, g, func(receipt bool) gatewaytest.Answer {
				return g.Send(g.Admin.Token, "POST", "/v1/keys/"+key+"/sign", map[string]any{"Message": []byte("a"), "SigningAlgorithm": "ECDSA_SHA_256", "Receipt": receipt})
			})
		})
	}
}

func logKeys(t *testing.T, g *gatewaytest.Gateway) string {
	t.Helper()
	b, err := os.ReadFile(string(tree.DirOf(g.AuditPath)) + "/key")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// A signature's receipt proves with the public key alone that the record of this very signature is in the log.
func TestSignWithReceipt(t *testing.T) {
	g := withTree(t, gatewaytest.Options{})
	key := g.CreateKey(api.P256, api.SignVerify).KeyId
	keys, err := tree.ParseKeys(logKeys(t, g))
	if err != nil {
		t.Fatal(err)
	}
	check := func(r api.Receipt, operation string) tree.Checkpoint {
		t.Helper()
		record, c, err := tree.Receipt(r).Verify(keys...)
		if err != nil || record.Operation != operation || record.Outcome != "allowed" || c.Origin != logName {
			t.Fatalf("%+v\n%v", record, err)
		}
		return c
	}
	var signed api.SignResponse
	body := map[string]any{"Message": []byte("a"), "SigningAlgorithm": "ECDSA_SHA_256", "Receipt": true}
	answer := g.Send(g.Admin.Token, "POST", "/v1/keys/"+key+"/sign", body)
	if err := json.Unmarshal(answer.Body, &signed); err != nil || answer.Status != http.StatusOK || signed.Receipt == nil {
		t.Fatal(answer.Status, string(answer.Body), err)
	}
	check(*signed.Receipt, "Sign")
	body["Receipt"] = false
	if plain := g.Send(g.Admin.Token, "POST", "/v1/keys/"+key+"/sign", body); plain.Status != http.StatusOK || strings.Contains(string(plain.Body), "Receipt") {
		t.Fatal(plain.Status, string(plain.Body))
	}
	var got api.GetReceiptResponse
	answer = g.Send(g.Admin.Token, "GET", "/v1/log/receipt?RecordNumber=1", nil)
	if err := json.Unmarshal(answer.Body, &got); err != nil || answer.Status != http.StatusOK {
		t.Fatal(answer.Status, string(answer.Body))
	}
	if record, _, err := tree.Receipt(got).Verify(keys...); err != nil || record.Seq != 1 || record.Operation != "CreateLogKey" {
		t.Fatal(record, err)
	}
	for path, want := range map[string]int{"?RecordNumber=0": 400, "": 400, "?RecordNumber=100000": 404, "?RecordNumber=x": 400} {
		if answer := g.Send(g.Admin.Token, "GET", "/v1/log/receipt"+path, nil); answer.Status != want {
			t.Error(path, answer.Status, string(answer.Body))
		}
	}
}

// A caller has the receipts of his own calls, and no others.
func TestWhoMayHaveAReceipt(t *testing.T) {
	g := withTree(t, gatewaytest.Options{})
	key := g.CreateKey(api.P256, api.SignVerify).KeyId
	user := g.Principal("user", policy.RoleUser, key)
	answer := g.Send(user.Token, "POST", "/v1/keys/"+key+"/sign", map[string]any{"Message": []byte("a"), "SigningAlgorithm": "ECDSA_SHA_256"})
	seq, _, _ := strings.Cut(answer.Header.Get("Hsmgate-Audit-Record"), ":")
	for number, want := range map[string]int{seq: 200, "1": 403, "100000": 403} {
		if answer := g.Send(user.Token, "GET", "/v1/log/receipt?RecordNumber="+number, nil); answer.Status != want {
			t.Error(number, answer.Status, string(answer.Body))
		}
	}
}

// The log is served as tlog-tiles has it: hashes to every caller, records to those who may read them, all of it under
// the last checkpoint.
func TestLogIsServed(t *testing.T) {
	g := withTree(t, gatewaytest.Options{})
	user := g.Principal("user", policy.RoleUser)
	g.CreateKey(api.P256, api.SignVerify)
	keys, err := tree.ParseKeys(logKeys(t, g))
	if err != nil {
		t.Fatal(err)
	}
	g.Send(g.Admin.Token, "GET", "/v1/log/receipt?RecordNumber=3", nil) // there is a checkpoint from now on
	get := func(token, path string, want int) []byte {
		t.Helper()
		answer := g.Send(token, "GET", "/v1/log/"+path, nil)
		if answer.Status != want {
			t.Fatal(path, answer.Status, string(answer.Body))
		}
		return answer.Body
	}
	c, err := tree.ParseCheckpoint(get(user.Token, "checkpoint", 200), keys...)
	for err == nil && g.Service.LogTree().Stats().Checkpoint.Tree.N < c.Tree.N { // the file is there first
		time.Sleep(time.Millisecond)
	}
	if err != nil || string(get(user.Token, "key", 200)) != logKeys(t, g) {
		t.Fatal(err)
	}
	last := tlog.Tile{H: 8, L: 0, N: 0, W: int(c.Tree.N)}
	name := tree.TileName(last)
	hashes := get(user.Token, name, 200)
	bundle := strings.Replace(name, "tile/0/", "tile/entries/", 1)
	lines, err := tree.ParseBundle(get(g.Admin.Token, bundle, 200))
	if err != nil || len(lines) != last.W {
		t.Fatal(len(lines), err)
	}
	for i, line := range lines {
		if h := tlog.RecordHash(line); string(h[:]) != string(hashes[32*i:32*i+32]) {
			t.Fatal("record", i+1)
		}
	}
	get(user.Token, bundle, 403)
	for _, token := range []string{user.Token, g.Admin.Token} { // no way around the permission and the record
		get(token, strings.Replace(bundle, "entries", "%65ntries", 1), 400)
	}
	get(g.Admin.Token, "tile/0/001", 404)
	get(g.Admin.Token, "tile/0/000", 404)
	get(g.Admin.Token, "tile/0/x", 400)
	get(g.Admin.Token, "tile/entries/x", 400)
	get("", "checkpoint", 401)
	get("", name, 401)
	get("", bundle, 401)
	before := g.Audit.Head().Seq
	get(g.Admin.Token, "checkpoint", 200)
	get(g.Admin.Token, name, 200)
	if after := g.Audit.Head().Seq; after != before {
		t.Fatal("who looks at checkpoints makes the log grow")
	}
	get(g.Admin.Token, bundle, 200)
	if after := g.Audit.Head().Seq; after != before+1 {
		t.Fatal("who reads records leaves none")
	}
}

// The key of the log is a token object like others: it is known to the comparison, and its loss is told.
func TestLogKeyThatIsLost(t *testing.T) {
	g := withTree(t, gatewaytest.Options{})
	ctx := context.Background()
	key := g.CreateKey(api.P256, api.SignVerify).KeyId
	differences, err := gateway.Compare(ctx, g.Store, gateway.DefaultToken, g.Token)
	if err != nil || len(differences) != 0 || len(g.Store.Pending()) != 0 {
		t.Fatal(differences, err)
	}
	logKey := g.Store.LogKeys(logName)[0]
	if logKey.Spec != string(hsm.Edwards25519) {
		t.Fatal(logKey.Spec)
	}
	if err := g.Token.Destroy(ctx, logKey.ObjectID); err != nil {
		t.Fatal(err)
	}
	for { // the token is opened anew, once, for a key that it has lost
		if differences, err = gateway.Compare(ctx, g.Store, gateway.DefaultToken, g.Token); err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if len(differences) != 1 || !differences[0].KeyMissing || !strings.Contains(differences[0].String(), logName) {
		t.Fatal(differences, err)
	}
	body := map[string]any{"Message": []byte("a"), "SigningAlgorithm": "ECDSA_SHA_256"}
	for g.Service.Readiness().Status != gateway.StatusReady || !strings.Contains(g.Service.Readiness().Detail, "no checkpoint of the audit log can be made") { // calls are served all the same
		g.Send(g.Admin.Token, "POST", "/v1/keys/"+key+"/sign", body) // a record that no checkpoint covers
		time.Sleep(10 * time.Millisecond)
	}
	for g.Send(g.Admin.Token, "POST", "/v1/keys/"+key+"/sign", body).Status != 200 { // without a receipt it goes on
		time.Sleep(10 * time.Millisecond)
	}
	body["Receipt"] = true
	before := len(g.Records())
	answer := g.Send(g.Admin.Token, "POST", "/v1/keys/"+key+"/sign", body)
	if answer.Status != 503 || !strings.Contains(string(answer.Body), "nothing was signed") || answer.Header.Get("Retry-After") == "" {
		t.Fatal(answer.Status, string(answer.Body))
	}
	if records := g.Records(); len(records) != before+1 || records[before].SignatureHash != "" {
		t.Fatalf("%+v", records[before:])
	}
}

// After a restart the same key goes on; one that is retired is followed by another, which continues the tree.
func TestLogKeyIsRotated(t *testing.T) {
	g := withTree(t, gatewaytest.Options{})
	ctx := context.Background()
	key := g.CreateKey(api.P256, api.SignVerify).KeyId
	first := logKeys(t, g)
	again := func() {
		t.Helper()
		if err := g.Service.EndTree(ctx); err != nil {
			t.Fatal(err)
		}
		g.Service.KeepTree(ctx)
		if answer := g.Send(g.Admin.Token, "GET", "/v1/log/receipt?RecordNumber=1", nil); answer.Status != 200 { // it waits until the tree is there
			t.Fatal(answer.Status, string(answer.Body))
		}
	}
	again()
	if logKeys(t, g) != first {
		t.Fatal("a start makes another key")
	}
	before, err := g.Service.LogFile(&gateway.Call{}, "checkpoint")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Store.RetireLogKey(ctx, logName, time.Now()); err != nil {
		t.Fatal(err)
	}
	again()
	both := logKeys(t, g)
	if !strings.HasSuffix(both, first) || strings.Count(both, "\n") != 2 {
		t.Fatal(both)
	}
	var signed api.SignResponse
	answer := g.Send(g.Admin.Token, "POST", "/v1/keys/"+key+"/sign", map[string]any{"Message": []byte("a"), "SigningAlgorithm": "ECDSA_SHA_256", "Receipt": true})
	if err := json.Unmarshal(answer.Body, &signed); err != nil || signed.Receipt == nil {
		t.Fatal(answer.Status, string(answer.Body))
	}
	newer, cause := tree.ParseKeys(strings.TrimSuffix(both, first))
	older, cause2 := tree.ParseKeys(first)
	if cause != nil || cause2 != nil {
		t.Fatal(cause, cause2)
	}
	_, now, cause := tree.Receipt(*signed.Receipt).Verify(newer...)
	if cause != nil {
		t.Fatal(cause)
	}
	if _, _, cause := tree.Receipt(*signed.Receipt).Verify(older...); cause == nil {
		t.Fatal("the old key signs")
	}
	was, cause := tree.ParseCheckpoint(before, older...)
	if cause != nil {
		t.Fatal(cause)
	}
	proof, cause := tree.DirOf(g.AuditPath).ProveTree(now.Tree, was.Tree)
	if cause != nil || tree.CheckTree(proof, now.Tree, was.Tree) != nil {
		t.Fatal("the new key's tree does not continue the old one's:", cause)
	}
}

// A receipt that does not come in time: the signature is recorded, not given out, and its receipt can be had later.
func TestReceiptThatComesLate(t *testing.T) {
	g := withTree(t, gatewaytest.Options{})
	key := g.CreateKey(api.P256, api.SignVerify).KeyId
	user := g.Principal("user", policy.RoleUser, key)
	g.Service.HoldReceipts(true)
	answer := g.Send(user.Token, "POST", "/v1/keys/"+key+"/sign", map[string]any{"Message": []byte("a"), "SigningAlgorithm": "ECDSA_SHA_256", "Receipt": true})
	if answer.Status != 503 || answer.Code() != string(api.ReceiptUnavailable) || answer.Header.Get("Retry-After") != "" || strings.Contains(string(answer.Body), `"Signature"`) {
		t.Fatal(answer.Status, string(answer.Body))
	}
	g.Service.HoldReceipts(false)
	metrics := string(g.Send(g.Admin.Token, "GET", "/metrics", nil).Body)
	for _, line := range []string{`hsmgate_calls_total{operation="Sign",outcome="failed"} 1`, `hsmgate_calls_total{operation="Sign",outcome="allowed"} 0`,
		`hsmgate_call_errors_total{code="ReceiptUnavailableException"} 1`} {
		if !strings.Contains(metrics, "\n"+line+"\n") {
			t.Errorf("the metrics have no line %s", line)
		}
	}
	seq, _, _ := strings.Cut(answer.Header.Get("Hsmgate-Audit-Record"), ":")
	if seq == "" || !strings.Contains(string(answer.Body), "RecordNumber="+seq) {
		t.Fatal(seq, string(answer.Body))
	}
	var got api.GetReceiptResponse
	if later := g.Send(user.Token, "GET", "/v1/log/receipt?RecordNumber="+seq, nil); json.Unmarshal(later.Body, &got) != nil || later.Status != 200 || !strings.Contains(got.Record, `"operation":"Sign"`) {
		t.Fatal(later.Status, string(later.Body))
	}
}

// A bare signature has no place for a receipt, and nothing is signed.
func TestReceiptNeedsJSON(t *testing.T) {
	g := withTree(t, gatewaytest.Options{})
	key := g.CreateKey(api.P256, api.SignVerify).KeyId
	answer := g.Send(g.Admin.Token, "POST", "/v1/keys/"+key+"/sign?Receipt=true", "file", "Accept", "application/octet-stream", "Content-Type", "application/octet-stream")
	if answer.Status != 406 || !strings.Contains(string(answer.Body), "no place for a receipt") {
		t.Fatal(answer.Status, string(answer.Body))
	}
	answer = g.Send(g.Admin.Token, "POST", "/v1/keys/"+key+"/sign?Receipt=true", "file", "Content-Type", "application/octet-stream")
	if answer.Status != 200 || !strings.Contains(string(answer.Body), `"Receipt":{"Record":"{`) {
		t.Fatal(answer.Status, string(answer.Body))
	}
}
