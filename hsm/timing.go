package hsm

import (
	"context"
	"fmt"
	"time"

	"github.com/miekg/pkcs11"
)

// Timing tells of one call into the token, when it came to its end or its caller gave it up.
type Timing struct {
	// Mechanism is its PKCS#11 name, such as CKM_ECDSA. A call that has none, or several, is named by its function: C_GenerateRandom.
	Mechanism string
	Begun     time.Time     // when it was queued
	Wait      time.Duration // for a session
	Call      time.Duration // in the session, until its end or until its caller gave it up; 0 where it never came to one
	Err       error         // nil where it came to its end, whatever the token answered
}

// Observe has f told of every call into the token from now on, health checks aside. f runs where the
// caller waits, before it has the answer, and has to return at once.
func (t *Token) Observe(f func(context.Context, Timing)) { t.observer.Store(&f) }

// do queues the job and waits for its end; see attempt. Who observes is told of it.
func (g *generation) do(ctx context.Context, q *queue, j *job, l limits) error {
	f := g.tok.observer.Load()
	if f == nil || q == g.probe {
		return g.attempt(ctx, q, j, l)
	}
	what, queued := j.mechanism(), now()
	err := g.attempt(ctx, q, j, l)
	end := now()
	if err == nil {
		end = j.ended
	}
	timing := Timing{Mechanism: what, Begun: epoch.Add(time.Duration(queued)), Wait: time.Duration(end - queued), Err: err}
	if started := j.started.Load(); started != 0 {
		timing.Wait, timing.Call = time.Duration(started-queued), max(time.Duration(end-started), 0) // it may have begun since
	}
	(*f)(ctx, timing)
	return err
}

// mechanism names what the job does.
func (j *job) mechanism() string {
	switch {
	case j.what != "":
		return j.what
	case j.kind == jobSeal, j.kind == jobOpen:
		return "CKM_AES_GCM"
	}
	if name := mechanismNames[j.mech.typ]; name != "" {
		return name
	}
	return fmt.Sprintf("CKM_0x%08x", j.mech.typ)
}

// mechanismNames has those that sign, decrypt and make MACs.
var mechanismNames = map[uint]string{
	pkcs11.CKM_RSA_PKCS: "CKM_RSA_PKCS", pkcs11.CKM_RSA_PKCS_PSS: "CKM_RSA_PKCS_PSS", pkcs11.CKM_RSA_PKCS_OAEP: "CKM_RSA_PKCS_OAEP",
	pkcs11.CKM_RSA_X_509: "CKM_RSA_X_509", pkcs11.CKM_ECDSA: "CKM_ECDSA", ckmEdDSA: "CKM_EDDSA", ckmMLDSA: "CKM_ML_DSA",
	pkcs11.CKM_SHA224_HMAC: "CKM_SHA224_HMAC", pkcs11.CKM_SHA256_HMAC: "CKM_SHA256_HMAC",
	pkcs11.CKM_SHA384_HMAC: "CKM_SHA384_HMAC", pkcs11.CKM_SHA512_HMAC: "CKM_SHA512_HMAC",
}

// The names of calls without a mechanism of their own.
const (
	callAgree      = "CKM_ECDH1_DERIVE"
	callDecap      = "CKM_ML_KEM"
	callRandom     = "C_GenerateRandom"
	callFind       = "C_FindObjects"
	callDestroy    = "C_DestroyObject"
	callMakePair   = "C_GenerateKeyPair"
	callMakeSecret = "C_GenerateKey"
	callImport     = "C_UnwrapKey"
	callInfo       = "C_GetTokenInfo"
	callTest       = "self-test"
)
