package rest

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
)

// sigV4 is the scheme of a signature with an access key.
const sigV4 = "AWS4-HMAC-SHA256"

// isSigV4 says whether a request is signed with an access key, in place of a bearer token.
func isSigV4(r *http.Request) bool {
	return strings.HasPrefix(r.Header.Get("Authorization"), sigV4+" ")
}

// signed finds out who has signed a request. The body, which is a part of what is signed, is held in memory, so there is a
// limit for a file, too.
func (f *face) signed(ec echo.Context, call *gateway.Call) (reason string, err *api.Error) {
	most, named := int64(maxBody), call.Region
	if strings.HasSuffix(ec.Path(), "/sign-batch") {
		most = maxBatchBody
	}
	if reason, err = f.SigV4(ec.Request(), most, call); err != nil {
		return reason, err
	}
	if named != "" && named != call.Region {
		return "scope", api.Errorf(api.InvalidSignature, "The request is signed for the region %s, and its header %s names another. Sign it for that one, or leave the header out.", call.Region, regionHeader)
	}
	return "", nil
}
