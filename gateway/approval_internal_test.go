package gateway

import (
	"bytes"
	"crypto/sha512"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/store"
)

// TestRoundByAMu: who was shown a message of 64 bytes has not approved the signature
// over another message that has it as its mu (FIPS 204). SoftHSM makes no such signature.
func TestRoundByAMu(t *testing.T) {
	t.Parallel()
	message := bytes.Repeat([]byte("m"), muSize)
	sum := sha512.Sum512(message)
	called := func(kind api.MessageType) string {
		in := &api.SignRequest{Message: message, MessageType: kind, SigningAlgorithm: api.MLDSASHAKE256}
		input, err := signInput(in)
		if err != nil {
			t.Fatal(err)
		}
		return approvedAs(in, input, digestOf(mechanismFor(in.SigningAlgorithm, kind), input))
	}
	if got := called(api.Raw); got != "sha512:"+hex.EncodeToString(sum[:]) {
		t.Error(got)
	}
	if got := called(api.ExternalMu); got != "mu:"+hex.EncodeToString(message) {
		t.Error(got)
	}
}

func TestDigestsThatFit(t *testing.T) {
	t.Parallel()
	for algorithm, kinds := range map[api.SigningAlgorithm]string{
		api.PSSSHA256: "sha256", api.PKCS1SHA384: "sha384", api.ECDSASHA512: "sha512", api.Ed25519SHA512: "sha512", api.Ed25519PHSHA512: "sha512", api.MLDSASHAKE256: "sha512 mu",
	} {
		for _, kind := range []string{"sha256", "sha384", "sha512", "mu"} {
			if digestFits(algorithm, kind+":00") != strings.Contains(kinds, kind) {
				t.Errorf("%s: %s", algorithm, kind)
			}
		}
	}
}

// TestAnApprovalThatCannotBeReadIsForNothing: what a hand has put into the database.
func TestAnApprovalThatCannotBeReadIsForNothing(t *testing.T) {
	t.Parallel()
	rule := &store.ApprovalRule{ApprovalRule: api.ApprovalRule{Approvers: []string{"arn:a"}, Required: 1}}
	for _, text := range []string{"", "{}", "[]", `{"Window": {"Count": 5}, "Requester": "arn:r"}`, `{"Digests": [{"Digest": "x"}]}`} {
		a := store.NewApproval(text)
		a.Votes = []store.Vote{{Approver: "arn:a"}}
		_, ok := covers(a, "", "x", time.Now())
		if st := approvalStatus(rule, a, time.Now()); ok && st == api.ApprovalApproved || st == api.ApprovalPending {
			t.Errorf("%s: %v %s", text, ok, st)
		}
	}
}

// TestWhatGivesWay: as many as have to, the oldest, those first that came to nothing.
func TestWhatGivesWay(t *testing.T) {
	t.Parallel()
	now, rule := time.Now(), &store.ApprovalRule{ApprovalRule: api.ApprovalRule{Approvers: []string{"arn:a"}, Required: 1}}
	made := func(id string, used map[int]int, ended api.ApprovalStatus) *store.Approval {
		return &store.Approval{ID: id, Used: used, Ended: string(ended), Document: "x", Asked: &api.ApprovalDocument{
			Window: &api.ApprovalWindow{Count: 1}, ExpirationDate: api.NewTime(now.Add(time.Hour))}}
	}
	all := []*store.Approval{made("spent", map[int]int{0: 1}, ""), made("open", nil, ""), made("cancelled", nil, api.ApprovalCancelled), made("rejected", nil, api.ApprovalRejected)}
	for n := len(all); n < mostApprovals-1; n++ {
		all = append(all, made("other", nil, ""))
	}
	for _, gone := range []string{"", "cancelled", "rejected", "spent"} {
		ids, room := givingWay(store.Approvals{Rule: rule, Requests: all}, now)
		if !room || gone == "" && len(ids) > 0 || gone != "" && !ids[gone] {
			t.Errorf("%s: %v %v", gone, ids, room)
		}
		all = append(all, made("other", nil, ""))
	}
	if ids, room := givingWay(store.Approvals{Rule: rule, Requests: all}, now); room || len(ids) != 3 {
		t.Errorf("%v", ids)
	}
}

func TestWhichRulesAreStricter(t *testing.T) {
	t.Parallel()
	const session = "arn:aws:sts::111122223333:assumed-role/ops/"
	rule := func(required int, who ...string) *store.ApprovalRule {
		return &store.ApprovalRule{ApprovalRule: api.ApprovalRule{Approvers: who, Required: required}}
	}
	before := rule(1, session+"a1", session+"c3", "arn:anna", "arn:ben")
	for _, c := range []struct {
		next *store.ApprovalRule
		want bool
	}{
		{before, true},
		{rule(2, before.Approvers...), true},
		{rule(1, session+"a1", session+"c3", "arn:anna"), true},
		{rule(1, session+"a1", session+"c3", "arn:anna", "arn:cy"), false},
		{rule(1, session+"a1", "arn:anna", "arn:ben"), false},
		{rule(1, "arn:anna"), false},
		{rule(0, before.Approvers...), false},
		{nil, false},
	} {
		if stricter(before, c.next) != c.want {
			t.Errorf("%+v: %v", c.next, !c.want)
		}
	}
}
