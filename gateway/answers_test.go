package gateway_test

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/audit"
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
	in := once("k", "m")
	in.SigningContext = map[string]string{"stage": "release"}
	in.Artifact = &api.Artifact{Name: "tool", Version: "1.2"}
	refusal(t, g.Send(g.Admin.Token, "POST", "/v1/keys/"+id+"/sign", in), 503, api.ServiceUnavailable)
	db, err := sql.Open("sqlite3", g.StorePath+"?_txlock=immediate")
	noError(t, err)
	_, err = db.ExecContext(t.Context(), "UPDATE answers SET instance = 'the name before'") // the daemon is renamed
	noError(t, errors.Join(err, db.Close()))
	g.Advance(2 * time.Hour)
	g.Service.Round(t.Context())
	if found := answers(t, g, id, "k"); found["k"] == nil || found["k"].Instance != gatewaytest.Name {
		t.Fatalf("an answer without a record is forgotten, or not taken over: %+v", found["k"])
	}
	move(t, g.AuditPath+".away", g.AuditPath)
	until(t, "the log is back", func() bool { return g.Audit.Ready() == nil })
	g.Service.Round(t.Context())
	of := recordsUnder(g, "k")
	if len(of) != 1 {
		t.Fatalf("%+v", of)
	}
	made := of[0]
	signOnce(t, g, g.Admin, id, func() api.SignRequest { like := in; like.IdempotencyKey = "like k"; return like }())
	like := recordsUnder(g, "like k")[0]
	if made.SignatureHash == "" || made.SignatureHash == like.SignatureHash || made.RequestID == "" || made.Digest == "" || made.ArtifactName != "tool" {
		t.Errorf("%+v", made)
	}
	made.Seq, made.Prev, made.Time, made.RequestID, made.SourceAddress = like.Seq, like.Prev, like.Time, like.RequestID, like.SourceAddress
	made.SignatureHash, made.IdempotencyKey, made.LatencyMicros = like.SignatureHash, like.IdempotencyKey, like.LatencyMicros
	if !reflect.DeepEqual(made, like) {
		t.Errorf("made up as\n%+v\nand a call like it is recorded as\n%+v", made, like)
	}
	g.Service.Round(t.Context())
	if found := answers(t, g, id, "k"); len(found) != 0 {
		t.Errorf("%d answers stay", len(found))
	}
	if again := signOnce(t, g, g.Admin, id, in); len(recordsUnder(g, "k")) != 2 || again.receipt == "" {
		t.Error("it is no new request")
	}
	intact(t, g)
}

// TestAnswersOlderThanTheLog: retention has removed the part of the log in which the record of a taken-over answer would be.
func TestAnswersOlderThanTheLog(t *testing.T) {
	t.Parallel()
	g := gatewaytest.NewWith(t, gatewaytest.Options{AuditLog: audit.Options{SegmentSize: 4000, Retention: time.Nanosecond, Check: time.Millisecond,
		Seal: func(r audit.Receipt) ([]byte, error) { return []byte(r.String()), nil }}})
	id := g.CreateKey(api.P256, api.SignVerify).KeyId
	move(t, g.AuditPath, g.AuditPath+".away")
	refusal(t, g.Send(g.Admin.Token, "POST", "/v1/keys/"+id+"/sign", once("k", "m")), 503, api.ServiceUnavailable)
	move(t, g.AuditPath+".away", g.AuditPath)
	until(t, "the log is back", func() bool { return g.Audit.Ready() == nil })
	kept := answers(t, g, id, "k")["k"]
	for first := uint64(0); first <= kept.After+1; {
		signOnce(t, g, g.Admin, id, once(fmt.Sprint(g.Audit.Head().Seq), "m"))
		var err error
		first, err = g.Audit.First()
		noError(t, err)
	}
	db, err := sql.Open("sqlite3", g.StorePath+"?_txlock=immediate")
	noError(t, err)
	_, err = db.ExecContext(t.Context(), "UPDATE answers SET instance = 'another' WHERE idempotency_key = 'k'")
	noError(t, errors.Join(err, db.Close()))
	g.Advance(2 * time.Hour)
	g.Service.Round(t.Context())
	if found := answers(t, g, id, "k")["k"]; found == nil || found.Instance != gatewaytest.Name {
		t.Fatalf("%+v", found)
	}
	until(t, "it is recorded", func() bool { return answers(t, g, id, "k")["k"].Record != "" })
	if found := answers(t, g, id, "k")["k"]; len(found.Call) != 0 {
		t.Errorf("the record of the call stays: %d bytes", len(found.Call))
	}
}
