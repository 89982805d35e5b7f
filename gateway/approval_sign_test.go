package gateway_test

import (
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
)

// TestRoundByAnotherForm: the file itself, its digest, an alias and a dry run.
func TestRoundByAnotherForm(t *testing.T) {
	t.Parallel()
	q := newQuorum(t)
	q.Call("POST", "/v1/aliases", map[string]any{"AliasName": "alias/release", "TargetKeyId": q.key}, nil)
	forms := map[string]func(message string) gatewaytest.Answer{
		"raw": func(m string) gatewaytest.Answer { return q.sign(q.ci, m) },
		"digest": func(m string) gatewaytest.Answer {
			return q.send(q.ci, "POST", "/sign", api.SignRequest{Message: digest(hashOf(api.ECDSASHA256), []byte(m)), MessageType: api.Digest, SigningAlgorithm: api.ECDSASHA256})
		},
		"file": func(m string) gatewaytest.Answer {
			return q.Send(q.ci.Token, "PUT", "/v1/keys/"+q.key+"/sign", m, "Content-Type", "application/octet-stream")
		},
		"alias": func(m string) gatewaytest.Answer {
			return q.Send(q.Admin.Token, "POST", "/v1/keys/alias%2Frelease/sign", api.SignRequest{Message: []byte(m), SigningAlgorithm: api.ECDSASHA256})
		},
	}
	dry := func(m string) gatewaytest.Answer {
		return q.send(q.ci, "POST", "/sign", api.SignRequest{Message: []byte(m), SigningAlgorithm: api.ECDSASHA256, DryRun: true})
	}
	for name, form := range forms {
		refusal(t, form(name), 403, api.ApprovalRequired)
		refusal(t, dry(name), 403, api.ApprovalRequired)
		if name == "alias" {
			continue
		}
		r := q.approve(q.ask(name), q.anna, q.ben)
		refusal(t, dry(name), 412, api.DryRunOperation) // which spends nothing
		if a := form(name); a.Status != 200 {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
		q.status(r, api.ApprovalSpent)
		for again, form := range forms {
			if a := form(name); a.Status != 403 {
				t.Errorf("%s, then %s: %d %s", name, again, a.Status, a.Body)
			}
		}
		refusal(t, dry(name), 403, api.ApprovalRequired)
	}
}

// TestRoundByAnotherAlgorithm: the same digest with another scheme is another signature.
func TestRoundByAnotherAlgorithm(t *testing.T) {
	t.Parallel()
	q := quorumOn(t, gatewaytest.New(t))
	q.key = q.CreateKey(api.RSA2048, api.SignVerify).KeyId
	noError(t, q.Store.SetPrincipalKeys(t.Context(), q.ci.ARN, []string{q.key}))
	q.rule(2, q.anna, q.ben)
	q.approve(q.request(api.RequestApprovalRequest{SigningAlgorithm: api.PSSSHA256, Digests: []api.DigestToSign{{Digest: sha("one")}}}), q.anna, q.ben)
	with := func(a api.SigningAlgorithm) gatewaytest.Answer {
		return q.send(q.ci, "POST", "/sign", api.SignRequest{Message: []byte("one"), SigningAlgorithm: a})
	}
	refusal(t, with(api.PKCS1SHA256), 403, api.ApprovalRequired)
	if a := with(api.PSSSHA256); a.Status != 200 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

// TestApprovalOfAWholeMessage: it is bound to the SHA-512 of the message, and a
// message for Ed25519ph is another thing.
func TestApprovalOfAWholeMessage(t *testing.T) {
	t.Parallel()
	q := quorumOn(t, gatewaytest.New(t))
	q.key = q.CreateKey(api.Ed25519, api.SignVerify).KeyId
	noError(t, q.Store.SetPrincipalKeys(t.Context(), q.ci.ARN, []string{q.key}))
	q.rule(2, q.anna, q.ben)
	message := []byte(strings.Repeat("m", 64))
	sum := sha512.Sum512(message)
	q.approve(q.request(api.RequestApprovalRequest{Digests: []api.DigestToSign{{Digest: "sha512:" + hex.EncodeToString(sum[:])}}}), q.anna, q.ben)
	refusal(t, q.send(q.ci, "POST", "/sign", api.SignRequest{Message: message, MessageType: api.Digest, SigningAlgorithm: api.Ed25519PHSHA512}), 403, api.ApprovalRequired)
	if a := q.send(q.ci, "POST", "/sign", api.SignRequest{Message: message, SigningAlgorithm: api.Ed25519SHA512}); a.Status != 200 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

// TestApprovalOfAWindow: so many signatures over anything, in its time.
func TestApprovalOfAWindow(t *testing.T) {
	t.Parallel()
	q := newQuorum(t)
	at := func(hours int) *api.Time { return api.NewTime(q.Now().Add(time.Duration(hours) * time.Hour)) }
	first := q.request(api.RequestApprovalRequest{Window: &api.ApprovalWindow{NotBefore: at(1), NotAfter: at(3), Count: 2}})
	if !first.ExpirationDate.Equal(q.describe(first).ExpirationDate.Time) || q.describe(first).SignaturesLeft != 2 {
		t.Errorf("%+v", first)
	}
	q.approve(first, q.anna, q.ben)
	if text := string(q.refuses("a").Body); !strings.Contains(text, "its window opens at") {
		t.Error(text)
	}
	q.Advance(2 * time.Hour)
	q.signs("a")
	q.signs("a")
	q.status(first, api.ApprovalSpent)
	if text := string(q.refuses("b").Body); !strings.Contains(text, first.ApprovalId+" has 2 and is SPENT") {
		t.Error(text)
	}
	q.approve(q.request(api.RequestApprovalRequest{Window: &api.ApprovalWindow{NotAfter: at(1), Count: 9}}), q.anna, q.ben)
	q.signs("c")
	q.Advance(2 * time.Hour)
	q.refuses("d")
}

// TestRoundByAnotherRegionOrVersion: all members of a multi-Region key, and all its
// versions, have one rule, and one approval is good for one signature among them.
func TestRoundByAnotherRegionOrVersion(t *testing.T) {
	t.Parallel()
	q := quorumOn(t, gatewaytest.NewWith(t, gatewaytest.Options{Regions: []string{west}, Rotation: gateway.Rotation{Overlap: -1}}))
	q.key = createMulti(t, q.Gateway).KeyId
	noError(t, q.Store.SetPrincipalKeys(t.Context(), q.ci.ARN, []string{q.key}))
	q.rule(2, q.anna, q.ben)
	replicate(t, q.Gateway, home, q.key, west)
	there := func(m string) gatewaytest.Answer {
		return q.Send(q.ci.Token, "POST", "/v1/keys/"+q.key+"/sign", api.SignRequest{Message: []byte(m), SigningAlgorithm: api.ECDSASHA256}, "Hsmgate-Region", west)
	}
	refusal(t, there("one"), 403, api.ApprovalRequired)
	do(t, q.Gateway, home, "PUT", "/v1/keys/"+q.key+"/primary-region", map[string]string{"PrimaryRegion": west})
	do(t, q.Gateway, west, "POST", "/v1/keys/"+q.key+"/rotate", nil)
	refusal(t, there("one"), 403, api.ApprovalRequired)
	q.refuses("one")
	q.approve(q.ask("one"), q.anna, q.ben)
	if a := there("one"); a.Status != 200 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	q.refuses("one")
}

// TestTheKeyHistoryNeedsNoApproval: no caller chooses what it says, and its type keeps
// it from being taken for something else.
func TestTheKeyHistoryNeedsNoApproval(t *testing.T) {
	t.Parallel()
	q := newQuorum(t)
	var h api.GetKeyHistoryResponse
	decodeTo(t, q.send(q.ci, "GET", "/history", nil), &h)
	header, err := base64.RawURLEncoding.DecodeString(h.Protected)
	noError(t, err)
	if !strings.Contains(string(header), `"typ":"key-history+jws"`) {
		t.Errorf("%s", header)
	}
	refusal(t, q.send(q.ci, "GET", "/history?Message=x", nil), 400, api.Serialization)
	q.refuses(h.Protected + "." + h.Payload)
}
