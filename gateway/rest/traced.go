package rest

import (
	"github.com/labstack/echo/v4"
	"go.opentelemetry.io/otel/propagation"

	"github.com/hsmgate/hsmgate/gateway"
)

// traced notes when a request came and, where callers are trusted with that, of
// which trace it is a part (W3C Trace Context).
func (f *face) traced(next echo.HandlerFunc) echo.HandlerFunc {
	return func(ec echo.Context) error {
		r := ec.Request()
		ctx := gateway.Received(r.Context(), f.Now())
		if f.TrustTraces {
			ctx = propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(r.Header))
		}
		ec.SetRequest(r.WithContext(ctx))
		return next(ec)
	}
}
