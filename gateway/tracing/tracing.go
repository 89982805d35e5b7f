package tracing

import (
	"context"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
)

// Tracing is an open way to a collector.
type Tracing struct{ provider *sdk.TracerProvider }

// Open begins to send spans. version and instance tell the daemon from others. Nil
// where the settings make no traces.
func Open(ctx context.Context, c Config, version, instance string, log *zap.Logger) (*Tracing, error) {
	if !c.On() {
		return nil, nil
	}
	header, err := c.headers()
	if err != nil {
		return nil, err
	}
	transport, err := c.transport()
	if err != nil {
		return nil, err
	}
	exporter, err := otlptrace.New(ctx, &sender{endpoint: c.Endpoint, header: header, log: log, pause: time.Second,
		client: &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}})
	if err != nil {
		return nil, err
	}
	ratio := 1.0
	if c.SampleRatio != nil {
		ratio = *c.SampleRatio
	}
	return &Tracing{sdk.NewTracerProvider(
		sdk.WithBatcher(exporter), // a full queue drops spans and holds no call
		sdk.WithSampler(sdk.ParentBased(sdk.TraceIDRatioBased(ratio))),
		sdk.WithResource(resource.NewSchemaless(
			attribute.String("service.name", "hsmgate"), attribute.String("service.version", version), attribute.String("service.instance.id", instance))),
	)}, nil
}

// Tracer makes spans; nil where none are made.
func (t *Tracing) Tracer() trace.Tracer {
	if t == nil {
		return nil
	}
	return t.provider.Tracer("github.com/hsmgate/hsmgate")
}

// Close sends what is left.
func (t *Tracing) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	return t.provider.Shutdown(ctx)
}
