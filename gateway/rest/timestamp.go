package rest

import (
	"errors"
	"io"
	"mime"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/timestamp"
)

// timestamp is the timestamp authority (RFC 3161, 3.4). What is wrong with a request is answered as that says, with
// status 200; a problem document is the answer where no authority answers.
func (f *face) timestamp(ec echo.Context) error {
	authority, public := f.Service.Stamps()
	if !authority {
		return echo.ErrNotFound
	}
	call, err := f.stampCaller(ec, public)
	if err != nil {
		return f.problem(ec, err)
	}
	query, err := stampQuery(ec.Request())
	if err != nil {
		return f.problem(ec, f.Service.Reject(ec.Request().Context(), call, gateway.Timestamp.Name, err))
	}
	reply, err := f.Service.Stamp(ec.Request().Context(), call, query)
	receipt(ec, call)
	if err != nil {
		return f.problem(ec, err)
	}
	return ec.Blob(http.StatusOK, timestamp.ReplyType, reply)
}

// stampCaller finds out who calls: somebody without a credential may be anybody, where that is allowed, and a wrong
// credential is nobody's.
func (f *face) stampCaller(ec echo.Context, public bool) (*gateway.Call, *api.Error) {
	r := ec.Request()
	certified := r.TLS != nil && len(r.TLS.PeerCertificates) > 0
	if !public || certified || len(r.Header.Values("Authorization")) > 0 {
		return f.authenticate(ec)
	}
	call := f.newCall(ec)
	var err *api.Error
	call.Principal, err = f.Service.Anonymous()
	return call, err
}

// stampQuery reads the request. One that is too long is cut, and so none.
func stampQuery(r *http.Request) ([]byte, *api.Error) {
	if form, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || form != timestamp.QueryType {
		return nil, api.Errorf(api.UnsupportedMediaType, "Send a time-stamp request (RFC 3161) as %s.", timestamp.QueryType)
	}
	query, err := io.ReadAll(io.LimitReader(r.Body, timestamp.MaxQuery))
	var late interface{ Timeout() bool }
	if err != nil && errors.As(err, &late) {
		return nil, api.Errorf(api.Validation, "The request did not come in time.")
	}
	if err != nil {
		return nil, api.Errorf(api.Validation, "The request cannot be read.")
	}
	return query, nil
}
