package tracing_test

import (
	"fmt"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/hsmgate/hsmgate/gateway/tracing"
)

// TestEndpointIsNotLogged: some collectors take a key in their URL; when they cannot be reached, the log names the host alone.
func TestEndpointIsNotLogged(t *testing.T) {
	core, lines := observer.New(zapcore.DebugLevel)
	tr, err := tracing.Open(t.Context(), tracing.Config{Endpoint: "http://127.0.0.1:1/of/sesame?key=hunter2"}, "1", "test", zap.New(core))
	if err != nil {
		t.Fatal(err)
	}
	_, span := tr.Tracer().Start(t.Context(), "call")
	span.End()
	if err := tr.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	all := fmt.Sprint(lines.All())
	for _, e := range lines.All() {
		all += fmt.Sprint(e.ContextMap())
	}
	if !strings.Contains(all, "http://127.0.0.1:1") || strings.Contains(all, "sesame") || strings.Contains(all, "hunter2") {
		t.Error(all)
	}
}
