package gateway

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/hsm"
)

// Spans tell how a call went and how long each step took: never what was signed,
// encrypted or sent, nor a digest of it. Strangers make none, as they leave no record.

type receivedKey struct{}

// Received notes when a request came, for the beginning of its span.
func Received(ctx context.Context, at time.Time) context.Context {
	return context.WithValue(ctx, receivedKey{}, at)
}

// startSpan begins the span of a call, where calls are traced.
func (s *Service) startSpan(ctx context.Context, c *Call, start time.Time) context.Context {
	if s.tracer == nil {
		return ctx
	}
	if at, ok := ctx.Value(receivedKey{}).(time.Time); ok {
		start = at
	}
	ctx, c.span = s.tracer.Start(ctx, c.op.Name, trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(start))
	return ctx
}

// endSpan ends it, once the outcome is known.
func (c *Call) endSpan(err *api.Error) {
	if c.span == nil || !c.span.IsRecording() {
		return
	}
	route := c.op.Path
	if c.Face == "aws" {
		route = "/"
	}
	c.span.SetAttributes(
		attribute.String("http.route", route), attribute.String("hsmgate.face", c.Face), attribute.String("hsmgate.request_id", c.RequestID),
		attribute.String("hsmgate.operation", c.op.Name), attribute.String("hsmgate.outcome", c.record.Outcome),
		attribute.Int64("hsmgate.audit_record", int64(c.Receipt.Seq)))
	if c.key != nil {
		c.span.SetAttributes(attribute.String("hsmgate.key_id", c.key.ID))
	}
	if err != nil {
		c.span.SetAttributes(attribute.String("error.type", string(err.Code)))
		if err.Code.Outcome() == api.Failed { // to others the caller has to look
			c.span.SetStatus(codes.Error, "")
		}
	}
	c.span.End()
}

// traceID is the id of the call's trace, "" where it is not traced.
func (c *Call) traceID() string {
	if c.span == nil || !c.span.SpanContext().IsSampled() {
		return ""
	}
	return c.span.SpanContext().TraceID().String()
}

// step begins the span of a step of a call; what it gives ends it.
func (s *Service) step(ctx context.Context, name string) func() {
	if s.tracer == nil {
		return func() {}
	}
	_, span := s.tracer.Start(ctx, name)
	return func() { span.End() }
}

// traceToken makes the spans of a call into the token, which has ended: one of its
// wait for a session, and one of the time inside.
func (s *Service) traceToken(ctx context.Context, token string, t hsm.Timing) {
	if s.tracer == nil || !trace.SpanFromContext(ctx).IsRecording() {
		return
	}
	about := trace.WithAttributes(attribute.String("hsmgate.token", token), attribute.String("hsmgate.mechanism", t.Mechanism))
	inside := t.Begun.Add(t.Wait)
	_, wait := s.tracer.Start(ctx, "token wait", about, trace.WithTimestamp(t.Begun))
	if t.Err != nil && t.Call == 0 {
		wait.SetStatus(codes.Error, "")
	}
	wait.End(trace.WithTimestamp(inside))
	if t.Call == 0 {
		return
	}
	_, call := s.tracer.Start(ctx, "token call", about, trace.WithTimestamp(inside), trace.WithSpanKind(trace.SpanKindClient))
	if t.Err != nil {
		call.SetStatus(codes.Error, "")
	}
	call.End(trace.WithTimestamp(inside.Add(t.Call)))
}
