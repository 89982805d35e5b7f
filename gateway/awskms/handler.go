package awskms

import (
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/identity"
)

// maxUserAgent bounds what a caller can write into a record, in bytes. Boto3
// and the AWS CLI send some 200.
const maxUserAgent = 512

// face is the name of this protocol in audit records.
const face = "aws"

// Config holds what the handler is made of. Service, Identities and Regions are
// required.
type Config struct {
	Service    *gateway.Service
	Identities *identity.Identities
	// Regions are those for which a signature is good; a call goes to the one that
	// it is signed for.
	Regions []string
	// Address gives the client's address for the audit record. Default: the
	// peer of the connection.
	Address func(*http.Request) string
	Log     *zap.Logger      // failed authentication; nil = none
	Now     func() time.Time // default time.Now
	// AuthFailures counts a failed authentication. The reasons are the few
	// constants of this package, so they may be labels of a metric.
	AuthFailures func(reason string)
}

type handler struct {
	Config
	decoySecret string   // checked in place of the secret of an unknown access key
	covered     []string // headers that have to be signed, beside those of AWS
	room        *room
}

// New makes the handler of the AWS face.
func New(c Config) http.Handler { return newHandler(c) }

func newHandler(c Config) *handler {
	if c.Address == nil {
		c.Address = func(r *http.Request) string { return r.RemoteAddr }
	}
	if c.Log == nil {
		c.Log = zap.NewNop()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.AuthFailures == nil {
		c.AuthFailures = func(string) {}
	}
	return &handler{Config: c, decoySecret: newDecoySecret(), room: held}
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := uuid.NewString()
	if isForm(r) {
		h.serveSTS(w, r, id)
		return
	}
	out, err := h.guarded(w, r, id, h.serve)
	if plain, ok := out.(interface{ Wipe() }); ok {
		defer plain.Wipe()
	}
	answer(w, id, out, err)
}

// Refuse answers a request that no handler is to see, in the protocol that it is in.
func Refuse(w http.ResponseWriter, r *http.Request, err *api.Error) {
	if id := uuid.NewString(); isForm(r) {
		answerSTS(w, id, nil, nil, err)
	} else {
		answer(w, id, nil, err)
	}
}

// guarded turns a panic, which is a fault of the gateway, into an answer that
// clients can read.
func (h *handler) guarded(w http.ResponseWriter, r *http.Request, id string, serve func(http.ResponseWriter, *http.Request, string) (any, *api.Error)) (out any, err *api.Error) {
	defer func() {
		if p := recover(); p != nil {
			h.Log.Error("panic", zap.String("requestId", id), zap.String("face", face), zap.Any("panic", p), zap.Stack("stack"))
			out, err = nil, api.Errorf(api.Internal, "An internal error occurred. An operator finds its cause in the log under request %s.", id)
		}
	}()
	return serve(w, r, id)
}

func (h *handler) serve(w http.ResponseWriter, r *http.Request, id string) (out any, err *api.Error) {
	if r.Method != http.MethodPost || (r.URL.Path != "/" && r.URL.Path != "") {
		return nil, api.Errorf(api.UnknownOperation, "AWS KMS requests are POST /, not %s %.100q.", r.Method, r.URL.Path)
	}
	body, release, err := h.room.readUnknown(r, MaxBody)
	defer release()
	if err != nil {
		h.logRefusal(r, id, &refusal{reason: reasonBody, Error: err})
		return nil, err
	}
	op, name, unknown := target(r.Header)
	caller, signed, refused := h.authenticate(r, body, service)
	if refused != nil {
		h.logRefusal(r, id, refused)
		return nil, firstError(op, body, unknown, refused.Error)
	}
	call := h.newCall(r, id)
	call.Principal, call.Region, call.AccessKey = caller, signed.region, signed.accessKey
	defer receipt(w, call)
	if unknown != nil {
		return nil, h.Service.Reject(r.Context(), call, name, firstError(nil, body, unknown, nil))
	}
	return h.Service.Do(r.Context(), call, op, func(in any) *api.Error { return api.Decode(body, in, false) })
}

func (h *handler) newCall(r *http.Request, id string) *gateway.Call {
	return &gateway.Call{
		RequestID: id, Face: face,
		SourceAddress: h.Address(r), UserAgent: cut(r.UserAgent(), maxUserAgent), Secure: r.TLS != nil,
	}
}

// receipt names the call's audit record to the caller.
func receipt(w http.ResponseWriter, call *gateway.Call) {
	if call.Receipt.Seq != 0 {
		w.Header().Set("Hsmgate-Audit-Record", call.Receipt.String())
	}
}

// firstError picks, of all that is wrong with a request, what AWS tells first:
// the body, the target, the authentication.
func firstError(op *gateway.Op, body []byte, unknown, refused *api.Error) *api.Error {
	var in any = &struct{}{}
	if op != nil {
		in = op.New()
	}
	if err := api.Decode(body, in, false); err != nil {
		return err
	}
	if unknown != nil {
		return unknown
	}
	return refused
}

// logRefusal logs and counts a call that was not authenticated.
func (h *handler) logRefusal(r *http.Request, id string, refused *refusal) {
	h.AuthFailures(refused.reason)
	fields := []zap.Field{
		zap.String("requestId", id), zap.String("face", face), zap.String("reason", refused.reason),
		zap.String("error", string(refused.Code)), zap.String("sourceAddress", h.Address(r)),
		zap.String("userAgent", cut(r.UserAgent(), maxUserAgent)),
	}
	if refused.accessKey != "" {
		fields = append(fields, zap.String("accessKeyId", cut(refused.accessKey, 128)))
	}
	if refused.Cause != nil {
		fields = append(fields, zap.NamedError("cause", refused.Cause))
	}
	if refused.Code.Outcome() == api.Failed {
		h.Log.Error("not authenticated", fields...)
		return
	}
	h.Log.Info("not authenticated", fields...)
}

func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}
