package rest

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
	"go.uber.org/zap"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/identity"
	"github.com/hsmgate/hsmgate/gateway/policy"
)

// maxUserAgent bounds what a caller can write into a record, in bytes.
const maxUserAgent = 256

// maxAccessKey bounds the id of an access key that a stranger can write into the log.
const maxAccessKey = 128

// regionHeader names the region that a call goes to, in place of the home region.
const regionHeader = "Hsmgate-Region"

// maxPath bounds the same for a path that leads nowhere.
const maxPath = 256

// serve is every operation: authenticate, do, encode.
func (f *face) serve(op *gateway.Op) echo.HandlerFunc {
	return func(ec echo.Context) error {
		call, err := f.authenticate(ec)
		if err != nil {
			return f.problem(ec, err)
		}
		out, err := f.Service.Do(ec.Request().Context(), call, op, func(in any) *api.Error {
			return decode(ec, in)
		})
		receipt(ec, call)
		if err != nil {
			return f.problem(ec, err)
		}
		if plain, ok := out.(interface{ Wipe() }); ok {
			defer plain.Wipe()
		}
		return f.encode(ec, out)
	}
}

// receipt names the call's audit record to the caller.
func receipt(ec echo.Context, call *gateway.Call) {
	if call.Receipt.Seq != 0 {
		ec.Response().Header().Set("Hsmgate-Audit-Record", call.Receipt.String())
	}
}

const requestIDHeader = "X-Request-Id"

// requestID is the id that guard has given the request.
func requestID(ec echo.Context) string { return ec.Response().Header().Get(requestIDHeader) }

// guard gives each request its id and turns a panic into an internal error.
func (f *face) guard(next echo.HandlerFunc) echo.HandlerFunc {
	return func(ec echo.Context) (err error) {
		if ec.Path() == "/" && ec.Request().Method == http.MethodPost { // the AWS face has ids of its own
			return next(ec)
		}
		id := uuid.NewString()
		ec.Response().Header().Set(requestIDHeader, id)
		ec.Response().Header().Set("Cache-Control", "no-store") // a plaintext has no place in a cache
		defer func() {
			if p := recover(); p != nil {
				f.Log.Error("panic", zap.String("requestId", id), zap.Any("panic", p), zap.Stack("stack"))
				err = f.problem(ec, api.Errorf(api.Internal, "An internal error occurred. An operator finds its cause in the log under request %s.", id))
			}
		}()
		if ec.Request().Method == http.MethodOptions { // echo would answer strangers
			if allow, ok := ec.Get(echo.ContextKeyHeaderAllow).(string); ok {
				ec.Response().Header().Set(echo.HeaderAllow, allow)
			}
			return echo.ErrMethodNotAllowed
		}
		return next(ec)
	}
}

// authenticate finds out who calls. A failure leaves no audit record, so that
// strangers cannot make the audit log grow.
func (f *face) authenticate(ec echo.Context) (*gateway.Call, *api.Error) {
	r, call := ec.Request(), f.newCall(ec)
	if f.SigV4 != nil && isSigV4(r) {
		if reason, err := f.signed(ec, call); err != nil {
			f.stranger(ec, call, err, zap.String("reason", reason), zap.String("accessKeyId", cut(call.AccessKey, maxAccessKey)))
			return nil, err
		}
		return call, nil
	}
	p, err := f.principal(r)
	if err == nil {
		call.Principal = p
		call.Renew = func() (policy.Principal, *api.Error) { return f.principal(r) }
		return call, nil
	}
	f.stranger(ec, call, err)
	return nil, err
}

func (f *face) newCall(ec echo.Context) *gateway.Call {
	r := ec.Request()
	return &gateway.Call{
		RequestID: requestID(ec), Face: "rest",
		SourceAddress: f.Address(r), UserAgent: cut(r.UserAgent(), maxUserAgent), Secure: r.TLS != nil,
		Region: strings.Join(r.Header.Values(regionHeader), ","), // two are none that is served
	}
}

// stranger logs and counts a call that was not authenticated.
func (f *face) stranger(ec echo.Context, call *gateway.Call, err *api.Error, more ...zap.Field) {
	f.failures.WithLabelValues(string(err.Code)).Inc()
	fields := []zap.Field{zap.String("requestId", call.RequestID), zap.String("face", "rest"),
		zap.String("sourceAddress", call.SourceAddress), zap.String("error", string(err.Code))}
	fields = append(fields, more...)
	if err.Cause != nil {
		fields = append(fields, zap.NamedError("cause", err.Cause))
	}
	f.Log.Warn("not authenticated", fields...)
	ec.Response().Header().Set("WWW-Authenticate", "Bearer")
	if f.SigV4 != nil {
		ec.Response().Header().Add("WWW-Authenticate", sigV4)
	}
}

// principal finds out who calls: by the Authorization header or, where there is
// none, by the client certificate.
func (f *face) principal(r *http.Request) (policy.Principal, *api.Error) {
	certificate, cause := f.Identities.Certificate(r.TLS, f.Now())
	if cause != nil {
		return policy.Principal{}, identityError(cause)
	}
	if certificate != nil && len(r.Header.Values("Authorization")) == 0 {
		p, cause := f.Identities.CertificatePrincipal(certificate, f.Now())
		if cause != nil {
			return policy.Principal{}, identityError(cause)
		}
		return p, nil
	}
	token, err := bearer(r)
	if err != nil {
		return policy.Principal{}, err
	}
	find := f.Identities.Bearer
	if identity.IsJWT(token) {
		find = func(token string, now time.Time) (policy.Principal, error) {
			return f.Identities.WebPrincipal(r.Context(), token, now)
		}
	}
	p, cause := find(token, f.Now())
	if cause != nil {
		return policy.Principal{}, identityError(cause)
	}
	certificate.Describe(&p)
	return p, nil
}

// identityError tells a stranger as little as possible; the log has the cause.
func identityError(cause error) *api.Error {
	e := api.Errorf(api.UnrecognizedClient, "The bearer token is not valid.")
	switch {
	case errors.Is(cause, identity.ErrUnreachable):
		e = api.Errorf(api.ServiceUnavailable, "The token cannot be checked now, since the keys of its issuer cannot be had. Try again.")
		e.RetryAfter = time.Second
	case errors.Is(cause, identity.ErrCertificate):
		e = api.Errorf(api.UnrecognizedClient, "The client certificate is not valid here.")
	case errors.Is(cause, identity.ErrToken):
	case errors.Is(cause, identity.ErrExpired):
		e = api.Errorf(api.ExpiredToken, "The bearer token has expired. Ask an administrator for a new one.")
	}
	e.Cause = cause
	return e
}

func bearer(r *http.Request) (string, *api.Error) {
	values := r.Header.Values("Authorization")
	if len(values) == 0 {
		return "", api.Errorf(api.MissingAuthentication, "Send a bearer token: Authorization: Bearer hsmgate_…")
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if len(values) > 1 || !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", api.Errorf(api.MissingAuthentication, "Send exactly one header of the form Authorization: Bearer hsmgate_…")
	}
	return token, nil
}

func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}

// named returns the key reference or alias name in the path, decoded once.
func named(ec echo.Context) (string, *api.Error) {
	prefix, value := "", ec.Param("name")
	if strings.HasSuffix(ec.Path(), "/:alias") || strings.Contains(ec.Path(), "/:alias/") {
		prefix, value = "alias/", ec.Param("alias")
	}
	if value == "" {
		return "", api.Errorf(api.Validation, "The path names no key and no alias.")
	}
	if ec.Request().URL.RawPath != "" { // echo then routes on the encoded path
		decoded, err := url.PathUnescape(value)
		if err != nil {
			return "", api.Errorf(api.Validation, "The path has a wrong percent encoding: %q.", cut(value, 256))
		}
		value = decoded
	}
	if !utf8.ValidString(value) {
		return "", api.Errorf(api.Validation, "The name in the path is not UTF-8.")
	}
	return prefix + value, nil
}

// routeError answers where no route fits.
func (f *face) routeError(err error, ec echo.Context) {
	if ec.Response().Committed {
		return
	}
	if requestID(ec) == "" {
		ec.Response().Header().Set(requestIDHeader, uuid.NewString())
	}
	call, refused := f.authenticate(ec)
	if refused == nil {
		call.Path = cut(ec.Request().Method+" "+ec.Request().URL.Path, maxPath)
		refused = f.Service.Reject(ec.Request().Context(), call, "UnknownOperation", unrouted(ec, err))
		receipt(ec, call)
	}
	_ = f.problem(ec, refused)
}

func unrouted(ec echo.Context, err error) *api.Error {
	r := ec.Request()
	var he *echo.HTTPError
	if errors.As(err, &he) && he.Code == http.StatusMethodNotAllowed {
		return api.Errorf(api.MethodNotAllowed, "%s is not a method of %s. See /openapi.yaml.", cut(r.Method, 16), cut(r.URL.Path, 256))
	}
	return api.Errorf(api.UnknownOperation, "Nothing is at %s. See /openapi.yaml; a slash in a key's ARN or an alias name is written %%2F in a path.", cut(r.URL.Path, 256))
}
