package gateway_test

import (
	"context"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/policy"
	"github.com/hsmgate/hsmgate/gateway/store"
)

// TestUploadDoesNotOutliveItsPermission: what is taken away while a file is on
// its way is not there any more at its end.
func TestUploadDoesNotOutliveItsPermission(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	for name, c := range map[string]struct {
		take   func(key string, user gatewaytest.Credentials) error
		status int
		code   api.Code
	}{
		"key disabled": {func(key string, _ gatewaytest.Credentials) error {
			return g.Store.SetKeyState(t.Context(), gatewaytest.Region, key, "Disabled", time.Time{})
		}, 409, api.Disabled},
		"key waits for its deletion": {func(key string, _ gatewaytest.Credentials) error {
			return g.Store.SetKeyState(t.Context(), gatewaytest.Region, key, "PendingDeletion", g.Now().Add(time.Hour))
		}, 409, api.KMSInvalidState},
		"key deleted": {func(key string, _ gatewaytest.Credentials) error {
			return g.Store.DeleteKey(t.Context(), gatewaytest.Region, key)
		}, 404, api.NotFound},
		"key policy denies": {func(key string, _ gatewaytest.Credentials) error {
			doc, err := store.NewDocument(document(byAccount, statement("Deny", "*", "kms:Sign")), policy.KeyPolicy)
			if err != nil {
				return err
			}
			return g.Store.ChangeKeyPolicy(t.Context(), gatewaytest.Region, key, func(*store.Document) *store.Document { return doc })
		}, 403, api.AccessDenied},
		"user loses the key": {func(_ string, user gatewaytest.Credentials) error {
			return g.Identities.SetPrincipalKeys(t.Context(), user.ARN, nil)
		}, 403, api.AccessDenied},
		"user deleted": {func(_ string, user gatewaytest.Credentials) error {
			return g.Identities.DeletePrincipal(t.Context(), user.ARN)
		}, 401, api.UnrecognizedClient},
		"nothing": {func(string, gatewaytest.Credentials) error { return nil }, 200, ""},
	} {
		t.Run(name, func(t *testing.T) {
			key := g.CreateKey(api.P256, api.SignVerify).KeyId
			user := g.Principal("user-"+key[:8], policy.RoleUser, key)
			body, file := io.Pipe()
			answered := make(chan gatewaytest.Answer, 1)
			go func() { answered <- g.Send(user.Token, "PUT", "/v1/keys/"+key+"/sign", body) }()
			if _, err := file.Write(make([]byte, 8<<20)); err != nil { // more than lies in buffers, so that the call is under way
				t.Fatal(err)
			}
			if err := c.take(key, user); err != nil {
				t.Fatal(err)
			}
			file.Close()
			a := <-answered
			if a.Status != c.status || a.Code() != string(c.code) {
				t.Errorf("%d %s, want %d %s", a.Status, a.Body, c.status, c.code)
			}
			records := g.Records()
			last := records[len(records)-1]
			if last.Principal != user.ARN || last.KeyID != key || last.ErrorCode != string(c.code) || (last.SignatureHash == "") != (c.code != "") {
				t.Errorf("%+v", last)
			}
		})
	}
}

// TestChangesGoOneByOne: a change whose record fails is taken back before the
// next one is decided on, so that it never takes back that one.
func TestChangesGoOneByOne(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	key := g.CreateKey(api.P256, api.SignVerify).KeyId
	begun, end := make(chan struct{}), make(chan struct{})
	go func() {
		op := gateway.ChangingOp(func() { close(begun); <-end })
		c := &gateway.Call{Principal: policy.Principal{ARN: g.Admin.ARN, Role: policy.RoleAdministrator}}
		_, _ = g.Service.Do(context.Background(), c, op, func(any) *api.Error { return nil })
	}()
	<-begun
	answered := make(chan gatewaytest.Answer, 1)
	go func() { answered <- g.Send(g.Admin.Token, "POST", "/v1/keys/"+key+"/disable", nil) }()
	select {
	case a := <-answered:
		t.Errorf("two changes at a time: %d %s", a.Status, a.Body)
	case <-time.After(200 * time.Millisecond):
	}
	sign(t, g, key, api.SignRequest{Message: []byte("m"), SigningAlgorithm: api.ECDSASHA256}) // does not wait
	close(end)
	if a := <-answered; a.Status != 200 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

// TestStrangersCannotKeepTheTokenBusy: anybody may ask whether the gateway is
// ready, and many at once cost the token little.
func TestStrangersCannotKeepTheTokenBusy(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	const strangers = 2000
	before := g.Token.Stats().Calls
	var wg sync.WaitGroup
	for range strangers {
		wg.Go(func() {
			if r := g.Service.Readiness(); r.Status != gateway.StatusReady {
				t.Errorf("%+v", r)
			}
		})
	}
	wg.Wait()
	if asked := g.Token.Stats().Calls - before; asked == 0 || asked > strangers/2 {
		t.Errorf("the token was asked %d times", asked)
	}
}

// TestChangesLeaveATraceFirst: before a key's state or an alias is changed, its
// record of the beginning is durable, so that no crash hides the change.
func TestChangesLeaveATraceFirst(t *testing.T) {
	t.Parallel()
	p := newParts(t)
	for name, e := range examples(p) {
		op, _ := gateway.OpNamed(name)
		p.prepare()
		before := len(p.g.Records())
		a := p.g.Send(p.g.Admin.Token, op.Method, p.path(op), e.good, "Content-Type", "application/json")
		records := p.g.Records()[before:]
		if e.needs != "store" {
			continue
		}
		if a.Status != 200 || len(records) != 2 || records[0].Phase != "started" || records[0].Outcome != "" || records[1].Outcome != "allowed" ||
			records[0].RequestID != records[1].RequestID || records[0].Operation != name || records[0].KeyID != records[1].KeyID || records[0].Resource != records[1].Resource {
			t.Errorf("%s: %d %+v", name, a.Status, records)
		}
	}
}
