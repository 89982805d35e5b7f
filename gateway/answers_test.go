package gateway_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/store"
)

func keyARN(id string) string {
	return "arn:aws:kms:" + gatewaytest.Region + ":" + gatewaytest.Account + ":key/" + id
}

func answers(t *testing.T, g *gatewaytest.Gateway, id string, names ...string) map[string]*store.Answer {
	t.Helper()
	found, err := g.Store.Answers(t.Context(), g.Admin.ARN, keyARN(id), names, time.UnixMicro(0))
	noError(t, err)
	return found
}

// TestKeptSignaturesAreSealed: the database tells nobody a signature, and one that was
// put in the place of another is given to nobody.
func TestKeptSignaturesAreSealed(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	id := g.CreateKey(api.P256, api.SignVerify).KeyId
	first := signOnce(t, g, g.Admin, id, once("a", "m"))
	noError(t, g.Service.Flush(t.Context()))
	kept := answers(t, g, id, "a")["a"]
	if kept == nil || len(kept.Signature) <= len(first.Signature) || bytes.Contains(kept.Signature, first.Signature) {
		t.Fatalf("%+v", kept)
	}
	other := *kept
	other.IdempotencyKey = "b"
	_, err := g.Store.KeepAnswers(t.Context(), []*store.Answer{&other}, nil, time.UnixMicro(0))
	noError(t, err)
	refusal(t, g.Send(g.Admin.Token, "POST", "/v1/keys/"+id+"/sign", once("b", "m")), 503, api.ServiceUnavailable)
	first.same(t, "the right one", signOnce(t, g, g.Admin, id, once("a", "m")))
}

// TestAnswersAreRecordedBeforeTheyAreForgotten: a signature whose record was refused and
// that nobody asks for again.
func TestAnswersAreRecordedBeforeTheyAreForgotten(t *testing.T) {
	t.Parallel()
	g := gatewaytest.NewWith(t, gatewaytest.Options{Idempotency: gateway.Idempotency{Keep: time.Hour}})
	id := g.CreateKey(api.P256, api.SignVerify).KeyId
	move(t, g.AuditPath, g.AuditPath+".away")
	for _, name := range []string{"k", "l"} {
		refusal(t, g.Send(g.Admin.Token, "POST", "/v1/keys/"+id+"/sign", once(name, "m")), 503, api.ServiceUnavailable)
	}
	in := once("k", "m")
	g.Advance(2 * time.Hour)
	g.Service.Round(t.Context())
	if found := answers(t, g, id, "k"); found["k"] == nil {
		t.Fatal("an answer without a record is forgotten")
	}
	move(t, g.AuditPath+".away", g.AuditPath)
	until(t, "the log is back", func() bool { return g.Audit.Ready() == nil })
	g.Service.Round(t.Context())
	of := recordsUnder(g, "k")
	if len(of) != 1 || of[0].Operation != "Sign" || of[0].Principal != g.Admin.ARN || of[0].KeyID != id || of[0].KeyARN != keyARN(id) || of[0].KeyVersion != 1 || of[0].SignatureHash == "" || of[0].Face != "internal" {
		t.Fatalf("%+v", of)
	}
	g.Service.Round(t.Context())
	if found := answers(t, g, id, "k", "l"); len(found) != 0 {
		t.Errorf("%d answers stay", len(found))
	}
	if again := signOnce(t, g, g.Admin, id, in); len(recordsUnder(g, "k")) != 2 || again.receipt == "" {
		t.Error("it is no new request")
	}
	intact(t, g)
}
