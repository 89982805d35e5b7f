package rest

import (
	"github.com/labstack/echo/v4"

	"github.com/hsmgate/hsmgate/gateway/api"
)

// session exchanges the token of an identity provider, which stands in place of a
// bearer token, for a session.
func (f *face) session(ec echo.Context) error {
	call := f.newCall(ec)
	in := new(api.AssumeRoleWithWebIdentityRequest)
	token, err := bearer(ec.Request())
	if err == nil {
		err = decode(ec, in)
	}
	proven := false
	var out any
	if err == nil {
		out, proven, err = f.Service.Exchange(ec.Request().Context(), call, token, in)
	}
	receipt(ec, call)
	if err != nil && !proven {
		f.stranger(ec, call, err)
	}
	if err != nil {
		return f.problem(ec, err)
	}
	return f.encode(ec, out)
}
