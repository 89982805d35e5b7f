package client_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/audit"
	"github.com/hsmgate/hsmgate/gateway/client"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/policy"
)

// gate lets requests for signatures go on when it is told to, one at a time or all, and notes the sizes of all.
type gate struct {
	http.RoundTripper
	open chan struct{} // one goes on for each that is sent; closed: all
	lose int           // the answer of this request for signatures, from 1, does not arrive
	few  int           // the answers of requests for more than this come too late; 0: none does

	mu    sync.Mutex
	sizes []int // of the requests, in signatures
}

// asked is how many signatures are in requests.
func (g *gate) asked() (n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, size := range g.sizes {
		n += size
	}
	return n
}

func (g *gate) RoundTrip(r *http.Request) (*http.Response, error) {
	if !strings.Contains(r.URL.Path, "/sign") {
		return g.RoundTripper.RoundTrip(r)
	}
	var in struct{ Items []json.RawMessage }
	body, err := r.GetBody()
	if err != nil {
		return nil, err
	}
	if err := json.NewDecoder(body).Decode(&in); err != nil {
		return nil, err
	}
	g.mu.Lock()
	g.sizes = append(g.sizes, max(1, len(in.Items)))
	n := len(g.sizes)
	g.mu.Unlock()
	<-g.open
	resp, err := g.RoundTripper.RoundTrip(r)
	if err == nil && n == g.lose {
		err = errors.New("the connection broke")
	}
	if err == nil && g.few > 0 && len(in.Items) > g.few {
		err = context.DeadlineExceeded // as where http.Client.Timeout is over
	}
	if err != nil && resp != nil {
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		return nil, err
	}
	return resp, err
}

// asking has n ask for signatures, and goes on when all of them wait.
func asking(t *testing.T, c *client.Client, at *gate, n int, ask func(i int)) (done func()) {
	t.Helper()
	before := at.asked() + c.Waiting()
	var wait sync.WaitGroup
	for i := range n {
		wait.Go(func() { ask(i) })
	}
	client.Until(func() bool { return at.asked()+c.Waiting() >= before+n })
	return wait.Wait
}

// togetherOf is a client whose signatures wait at a gate, and a signer that was made before.
func togetherOf(t *testing.T, g *gatewaytest.Gateway, who gatewaytest.Credentials, key string) (*client.Client, *client.Signer, *gate) {
	t.Helper()
	c := client.New(g.URL, who.Token)
	at := &gate{RoundTripper: http.DefaultTransport, open: make(chan struct{})}
	c.HTTP, c.Together, c.MaxWait = &http.Client{Transport: at}, true, 20*time.Millisecond
	return c, newSigner(t, c, key), at
}

// TestTogether: signatures that are asked for at the same time go in few requests. Each is good, has its own record with what was
// stated of it, and there is no other record, also where an answer was lost.
func TestTogether(t *testing.T) {
	const n = 100
	for _, lose := range []int{0, 1, 2, 3} {
		t.Run(fmt.Sprint("answer ", lose, " lost"), func(t *testing.T) {
			g := gatewaytest.New(t)
			c, signer, at := togetherOf(t, g, g.Admin, g.CreateKey(api.P256, api.SignVerify).KeyId)
			at.lose = lose
			before := len(g.Records())
			answers := make([]*api.SignResponse, n)
			digests := make([][sha256.Size]byte, n)
			done := asking(t, c, at, n, func(i int) {
				digests[i] = sha256.Sum256([]byte(fmt.Sprint("file ", i)))
				own := *signer
				own.Artifact = &api.Artifact{Name: fmt.Sprint("file ", i)}
				own.OnSigned = func(out *api.SignResponse) { answers[i] = out }
				if _, err := own.SignContext(t.Context(), digests[i][:], crypto.SHA256); err != nil {
					t.Error(err)
				}
			})
			close(at.open)
			done()
			records := g.Records()[before:]
			if len(records) != n {
				t.Errorf("%d records of %d signatures", len(records), n)
			}
			byReceipt := map[string]audit.Record{}
			for _, r := range records {
				byReceipt[fmt.Sprint(r.Seq)] = r
			}
			for i, a := range answers {
				if a == nil || !ecdsa.VerifyASN1(signer.Public().(*ecdsa.PublicKey), digests[i][:], a.Signature) {
					t.Fatalf("signature %d: %+v", i, a)
				}
				number, _, _ := strings.Cut(a.AuditRecord, ":")
				if r := byReceipt[number]; r.ArtifactName != fmt.Sprint("file ", i) || r.Digest != fmt.Sprintf("sha256:%x", digests[i]) || r.Operation != "Sign" {
					t.Errorf("signature %d has the record %q: %+v", i, a.AuditRecord, r)
				}
			}
			if most := 9; len(at.sizes) > most { // 1, 2, 4 and so on to 64, and one again, which was half as large
				t.Errorf("%d requests: %v", len(at.sizes), at.sizes)
			}
		})
	}
}

// TestTogetherFailsByItem: each has its own error, and one that is refused keeps no other from its signature.
func TestTogetherFailsByItem(t *testing.T) {
	const n = 40
	g := gatewaytest.New(t)
	id := g.CreateKey(api.P256, api.SignVerify).KeyId
	user := g.Principal("user", policy.RoleUser)
	g.Call("PUT", "/v1/keys/"+id+"/policy", map[string]any{"PolicyName": "default", "Policy": `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Principal":{"AWS":"` + g.Admin.ARN + `"},"Action":"kms:*","Resource":"*"},
		{"Effect":"Allow","Principal":{"AWS":"` + user.ARN + `"},"Action":"kms:GetPublicKey","Resource":"*"},
		{"Effect":"Allow","Principal":{"AWS":"` + user.ARN + `"},"Action":"kms:Sign","Resource":"*","Condition":{"StringLike":{"hsmgate:ArtifactName":"good-*"}}}]}`}, nil)
	c, signer, at := togetherOf(t, g, user, id)
	name := func(i int) string { return []string{"good-", "bad-"}[i%2] + fmt.Sprint(i) }
	done := asking(t, c, at, n, func(i int) {
		own := *signer
		own.Artifact = &api.Artifact{Name: name(i)}
		digest := sha256.Sum256([]byte(name(i)))
		_, err := own.SignContext(t.Context(), digest[:], crypto.SHA256)
		if want := []api.Code{"", api.AccessDenied}[i%2]; client.Code(err) != want || (err == nil) != (want == "") {
			t.Errorf("%s: %v", name(i), err)
		}
	})
	close(at.open)
	done()
}

// TestTogetherSaysWhichIsNotApproved: what is said of one digest is not said of another.
func TestTogetherSaysWhichIsNotApproved(t *testing.T) {
	const n = 20
	g := gatewaytest.New(t)
	id := g.CreateKey(api.P256, api.SignVerify).KeyId
	g.Call("PUT", "/v1/keys/"+id+"/approval-rule", api.ApprovalRule{Approvers: []string{g.Admin.ARN}, Required: 1}, nil)
	c, signer, at := togetherOf(t, g, g.Admin, id)
	done := asking(t, c, at, n, func(i int) {
		digest := sha256.Sum256([]byte(fmt.Sprint(i)))
		if _, err := signer.SignContext(t.Context(), digest[:], crypto.SHA256); client.Code(err) != api.ApprovalRequired || !strings.Contains(err.Error(), fmt.Sprintf("sha256:%x", digest)) {
			t.Errorf("%d: %v", i, err)
		}
	})
	close(at.open)
	done()
}

// TestTogetherWithinALimit: more than a limit of rates lets through at a time are all signed in the end, by requests that fit.
func TestTogetherWithinALimit(t *testing.T) {
	const n = 60
	g := gatewaytest.NewWith(t, gatewaytest.Options{Limits: gateway.Limits{Key: gateway.Limit{RequestsPerSecond: 20, Burst: 10}}})
	id := g.CreateKey(api.P256, api.SignVerify).KeyId
	c, signer, at := togetherOf(t, g, g.Admin, id)
	c.MaxWait = 10 * time.Second
	before := len(g.Records())
	done := asking(t, c, at, n, func(i int) {
		digest := sha256.Sum256([]byte(fmt.Sprint(i)))
		if _, err := signer.SignContext(t.Context(), digest[:], crypto.SHA256); err != nil {
			t.Error(err)
		}
	})
	close(at.open)
	done()
	refused := 0
	for _, r := range g.Records()[before:] {
		if r.ErrorCode == string(api.Throttling) {
			refused++
		}
	}
	if t.Logf("%d times in vain, by requests of %v", refused, at.sizes); refused == 0 || refused > n+n/4 {
		t.Errorf("%d times a signature was asked for in vain", refused)
	}
}

// TestTogetherIsLeft: who does not wait any more is told so, and the others of the request have their answers.
func TestTogetherIsLeft(t *testing.T) {
	const n = 2 // as many as the second request has
	g := gatewaytest.New(t)
	c, signer, at := togetherOf(t, g, g.Admin, g.CreateKey(api.P256, api.SignVerify).KeyId)
	sign := func(ctx context.Context, i int) error {
		_, err := signer.SignContext(ctx, bytes.Repeat([]byte{byte(i)}, sha256.Size), crypto.SHA256)
		return err
	}
	first := asking(t, c, at, 1, func(int) {
		if err := sign(t.Context(), n); err != nil {
			t.Error(err)
		}
	})
	ctx, leave := context.WithCancel(t.Context())
	var left sync.WaitGroup
	left.Add(n / 2)
	done := asking(t, c, at, n, func(i int) {
		if i%2 == 1 {
			if err := sign(t.Context(), i); err != nil {
				t.Error(err)
			}
			return
		}
		defer left.Done()
		if err := sign(ctx, i); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	at.open <- struct{}{}
	first()
	client.Until(func() bool { return at.asked() >= n+1 }) // until all are in one request
	leave()
	left.Wait() // while it is not answered
	close(at.open)
	done()
	if len(at.sizes) != 2 {
		t.Errorf("requests of %v", at.sizes)
	}
}

// TestTogetherLingers: who is told to end takes what is under way, of which there are records, and asks for nothing more.
func TestTogetherLingers(t *testing.T) {
	const n = 10
	g := gatewaytest.New(t)
	c, signer, at := togetherOf(t, g, g.Admin, g.CreateKey(api.P256, api.SignVerify).KeyId)
	c.Linger = time.Hour
	ctx, end := context.WithCancel(t.Context())
	before := len(g.Records())
	var signed, ended atomic.Int64
	done := asking(t, c, at, n, func(i int) {
		switch _, err := signer.SignContext(ctx, bytes.Repeat([]byte{byte(i)}, sha256.Size), crypto.SHA256); {
		case err == nil:
			signed.Add(1)
		case errors.Is(err, context.Canceled):
			ended.Add(1)
		default:
			t.Error(err)
		}
	})
	end()
	client.Until(func() bool { return ended.Load() >= n-1 }) // who waits for the next request does not linger
	close(at.open)
	done()
	if records := len(g.Records()) - before; signed.Load() != 1 || records != 1 || len(at.sizes) != 1 {
		t.Errorf("%d have a signature of %d records, by requests of %v", signed.Load(), records, at.sizes)
	}
}
