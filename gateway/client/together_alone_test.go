package client_test

import (
	"crypto"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/client"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/policy"
)

// TestTogetherAllRefused: where none of a request may go on, each has its own error, and its own record, all the same.
func TestTogetherAllRefused(t *testing.T) {
	const n = 40
	g := gatewaytest.New(t)
	id := g.CreateKey(api.P256, api.SignVerify).KeyId
	user := g.Principal("user", policy.RoleUser)
	g.Call("PUT", "/v1/keys/"+id+"/policy", map[string]any{"PolicyName": "default", "Policy": `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Principal":{"AWS":"` + g.Admin.ARN + `"},"Action":"kms:*","Resource":"*"},
		{"Effect":"Allow","Principal":{"AWS":"` + user.ARN + `"},"Action":"kms:GetPublicKey","Resource":"*"}]}`}, nil)
	c, signer, at := togetherOf(t, g, user, id)
	before := len(g.Records())
	done := asking(t, c, at, n, func(i int) {
		own, want := *signer, api.AccessDenied
		if i%2 == 1 {
			own.Artifact, want = &api.Artifact{Digest: strings.Repeat("x", 5000)}, api.Validation
		}
		digest := sha256.Sum256([]byte(fmt.Sprint(i)))
		if _, err := own.SignContext(t.Context(), digest[:], crypto.SHA256); client.Code(err) != want {
			t.Errorf("%d: %v, want %s", i, err, want)
		}
	})
	close(at.open)
	done()
	counts := map[string]int{}
	for _, r := range g.Records()[before:] {
		if r.Operation == "Sign" {
			counts[r.ErrorCode]++
		}
	}
	if counts[string(api.AccessDenied)] != n/2 || counts[string(api.Validation)] != n/2 || len(counts) != 2 {
		t.Errorf("records of %v, by requests of %v", counts, at.sizes)
	}
}

// TestTogetherDryRun: what would be signed is told of many at once, and asked for once.
func TestTogetherDryRun(t *testing.T) {
	const n = 40
	g := gatewaytest.New(t)
	c, signer, at := togetherOf(t, g, g.Admin, g.CreateKey(api.P256, api.SignVerify).KeyId)
	before := len(g.Records())
	done := asking(t, c, at, n, func(i int) {
		own := *signer
		own.DryRun = true
		digest := sha256.Sum256([]byte(fmt.Sprint(i)))
		if _, err := own.SignContext(t.Context(), digest[:], crypto.SHA256); client.Code(err) != api.DryRunOperation {
			t.Error(err)
		}
	})
	close(at.open)
	done()
	if records := len(g.Records()) - before; records != n || len(at.sizes) > 7 {
		t.Errorf("%d records, by requests of %v", records, at.sizes)
	}
}

// TestTogetherTooLate: where the answer to many is not there in the time that one is waited for, there are answers to fewer, and no
// signature or record is made twice.
func TestTogetherTooLate(t *testing.T) {
	const n = 60
	g := gatewaytest.New(t)
	c, signer, at := togetherOf(t, g, g.Admin, g.CreateKey(api.P256, api.SignVerify).KeyId)
	at.few = 6
	before := len(g.Records())
	done := asking(t, c, at, n, func(i int) {
		digest := sha256.Sum256([]byte(fmt.Sprint(i)))
		if _, err := signer.SignContext(t.Context(), digest[:], crypto.SHA256); err != nil {
			t.Error(err)
		}
	})
	close(at.open)
	done()
	if records := len(g.Records()) - before; records != n {
		t.Errorf("%d records, by requests of %v", records, at.sizes)
	}
}
