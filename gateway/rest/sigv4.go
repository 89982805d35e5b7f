package rest

import (
	"bytes"
	"io"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/policy"
)

// isSigV4 says whether a request is signed with an access key, in place of a bearer token.
func isSigV4(r *http.Request) bool {
	return strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 ")
}

// signed finds out who has signed a request. The body is read for that: it is a part of what is signed.
func (f *face) signed(ec echo.Context, call *gateway.Call) *api.Error {
	r := ec.Request()
	body, err := readSigned(r, ec.Path())
	if err != nil {
		return err
	}
	p, region, accessKey, err := f.SigV4(r, body)
	if err != nil {
		return err
	}
	if call.Region != "" && call.Region != region {
		return api.Errorf(api.InvalidSignature, "The request is signed for the region %s, and its header %s names another. Sign it for that one, or leave the header out.", region, regionHeader)
	}
	call.Principal, call.Region, call.AccessKey = p, region, accessKey
	call.Renew = func() (policy.Principal, *api.Error) {
		p, _, _, err := f.SigV4(r, body)
		return p, err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return nil
}

// readSigned reads a body that is signed, which is held in memory and so has a limit of its own.
func readSigned(r *http.Request, path string) ([]byte, *api.Error) {
	limit := int64(maxBody)
	if strings.HasSuffix(path, "/sign-batch") {
		limit = maxBatchBody
	}
	var body []byte
	var err error
	if r.ContentLength <= limit {
		body, err = io.ReadAll(io.LimitReader(r.Body, limit+1))
	}
	switch {
	case err != nil:
		e := api.Errorf(api.Serialization, "The body ended before it was complete. Send it again.")
		e.Cause = err
		return nil, e
	case r.ContentLength > limit, int64(len(body)) > limit:
		return nil, api.Errorf(api.RequestEntityTooLarge, "A request that is signed with an access key has at most %d bytes here. Hash a larger file and sign its digest.", limit)
	}
	return body, nil
}
