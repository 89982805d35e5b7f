package tracing

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"
)

const (
	sendTimeout = 10 * time.Second // of one attempt
	attempts    = 3
)

// sender sends spans. It is otlptrace.Client, whose own over HTTP brings gRPC with it.
type sender struct {
	endpoint string
	header   http.Header
	client   *http.Client
	log      *zap.Logger
	failing  atomic.Bool
	pause    time.Duration // before the second attempt, and twice that before the third
}

// Start and Stop have nothing to do: each batch is a request of its own.
func (s *sender) Start(context.Context) error { return nil }

// Stop closes what is idle.
func (s *sender) Stop(context.Context) error {
	s.client.CloseIdleConnections()
	return nil
}

// UploadTraces sends one batch. Traces are no part of the service: what cannot be
// sent is dropped, and the log says once that it is so.
func (s *sender) UploadTraces(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	// The one member of ExportTraceServiceRequest is that of TracesData, with the same number.
	body, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: spans})
	if err == nil {
		err = s.send(ctx, body)
	}
	switch was := s.failing.Swap(err != nil); {
	case err != nil && !was:
		s.log.Warn("traces cannot be sent, and are dropped until they can", zap.String("endpoint", s.endpoint), zap.Error(err))
	case err == nil && was:
		s.log.Info("traces are sent again")
	}
	return nil
}

// send tries again where that may help (OTLP specification, "Failures").
func (s *sender) send(ctx context.Context, body []byte) (err error) {
	for try := range attempts {
		if try > 0 {
			select {
			case <-ctx.Done():
				return err
			case <-time.After(s.pause << (try - 1)):
			}
		}
		var again bool
		if again, err = s.post(ctx, body); !again {
			return err
		}
	}
	return err
}

func (s *sender) post(ctx context.Context, body []byte) (again bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.endpoint, bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	if s.header != nil {
		r.Header = s.header.Clone()
	}
	r.Header.Set("Content-Type", "application/x-protobuf")
	answer, err := s.client.Do(r)
	if err != nil {
		return true, err
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, 64<<10)) // so that the connection serves again
	switch answer.StatusCode {
	case http.StatusOK, http.StatusAccepted, http.StatusNoContent:
		return false, nil
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		again = true
	}
	return again, fmt.Errorf("the collector answered %s", answer.Status)
}
