package awskms

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"io"
	"net/http"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/policy"
)

// Verifier makes the check of Signature Version 4 for requests to REST, which are signed as those to AWS KMS are: for
// the service kms and one of the regions, over the body, the path, the query and each header that decides something.
// It tells the call who has signed, the region, and the access key, and puts back the body, which it has to read.
//
// A body of more than [MaxBody] bytes, and of at most most, is read from a sender who has proven the secret before: by a
// signature over the header X-Amz-Content-Sha256, whose hash the body then has to have.
//
// The reason is one of those that the AWS face counts. The error holds nothing that a stranger may not know.
func Verifier(c Config) func(r *http.Request, most int64, call *gateway.Call) (reason string, err *api.Error) {
	h := newHandler(c)
	h.covered = []string{"content-type", "hsmgate-region", "idempotency-key"}
	return func(r *http.Request, most int64, call *gateway.Call) (string, *api.Error) {
		check := h.unstated
		if r.Header.Get(contentHash) != "" {
			check = h.stated
		}
		refused := check(r, most, call)
		if refused == nil {
			return "", nil
		}
		call.AccessKey = refused.accessKey
		return refused.reason, refused.Error
	}
}

// contentHash states the hash of the body, in hex, before it comes.
const contentHash = "X-Amz-Content-Sha256"

// stated checks a request that states the hash of its body: first the signature, then the body.
func (h *handler) stated(r *http.Request, most int64, call *gateway.Call) *refusal {
	hash := r.Header.Get(contentHash)
	if refused := h.identify(r, hash, r.ContentLength, call); refused != nil {
		return refused
	}
	body, err := readBody(r, most)
	if err != nil {
		return &refusal{reason: reasonBody, Error: err, accessKey: call.AccessKey}
	}
	sum := sha256.Sum256(body)
	if subtle.ConstantTimeCompare([]byte(hex.EncodeToString(sum[:])), []byte(hash)) != 1 {
		refused := otherBody()
		refused.accessKey = call.AccessKey
		return refused
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return nil
}

// unstated checks a request that does not. No body is read of a sender who names no access key that may be used.
func (h *handler) unstated(r *http.Request, most int64, call *gateway.Call) *refusal {
	now := h.Now()
	a, _, refused := h.checkHeader(r, service, now)
	if refused == nil {
		if _, _, err := h.secret(r, a, now); err != nil {
			refused = unusableKey(err, r.Header.Get(sessionHeader) != "")
		}
	}
	if refused != nil {
		refused.accessKey = a.accessKey
		return refused
	}
	body, release, err := h.room.readUnknown(r, min(most, MaxBody))
	defer release()
	if err != nil {
		if most > MaxBody && err.Code == api.RequestEntityTooLarge {
			err = api.Errorf(err.Code, "A request whose body has more than %d bytes states the body's SHA-256, in hex, in the header %s before it is signed.", MaxBody, contentHash)
		}
		return &refusal{reason: reasonBody, Error: err, accessKey: a.accessKey}
	}
	sum := sha256.Sum256(body)
	if refused := h.identify(r, hex.EncodeToString(sum[:]), int64(len(body)), call); refused != nil {
		return refused
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return nil
}

// identify tells the call who has signed it.
func (h *handler) identify(r *http.Request, bodyHash string, bodyLength int64, call *gateway.Call) *refusal {
	p, a, refused := h.verifyHash(r, bodyHash, bodyLength, service)
	if refused != nil {
		return refused
	}
	call.Principal, call.Region, call.AccessKey = p, a.region, a.accessKey
	call.Renew = func() (policy.Principal, *api.Error) {
		p, _, refused := h.verifyHash(r, bodyHash, bodyLength, service)
		if refused != nil {
			return p, refused.Error
		}
		return p, nil
	}
	return nil
}

func otherBody() *refusal {
	return refuse(reasonSignature, api.InvalidSignature, contentHash+" is not the SHA-256 of the body. This gateway accepts no unsigned and no streamed body.")
}
