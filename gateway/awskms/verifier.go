package awskms

import (
	"net/http"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/policy"
)

// Verifier makes the check of Signature Version 4 for requests to REST, which are signed as those to AWS KMS are: for
// the service kms and one of the regions, over the body, the path, the query and each header that decides something.
// It gives who has signed, the region, and the access key. The error holds nothing that a stranger may not know.
func Verifier(c Config) func(r *http.Request, body []byte) (p policy.Principal, region, accessKey string, err *api.Error) {
	h := newHandler(c)
	h.covered = []string{"content-type", "hsmgate-region", "idempotency-key"}
	return func(r *http.Request, body []byte) (policy.Principal, string, string, *api.Error) {
		p, signed, refused := h.verify(r, body, service)
		if refused != nil {
			return policy.Principal{}, "", "", refused.Error
		}
		return p, signed.region, signed.accessKey, nil
	}
}
