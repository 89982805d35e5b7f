package gateway

import (
	"errors"
	"io"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/hsmgate/hsmgate/gateway/api"
)

const (
	logBuffer = 256 << 10 // bytes
	logDelay  = 100 * time.Millisecond
)

// NewLog makes the operations log: a JSON object on each line, times in RFC 3339.
// It leaves no line out: zap's own production configuration samples, so that of
// a hundred calls a second most would be missing. Lines are written together,
// at most 100 ms late; warnings and errors at once, and all of them by Sync,
// which the end of the program has to call.
func NewLog(w io.Writer, level zapcore.LevelEnabler) *zap.Logger {
	encoder := zap.NewProductionEncoderConfig()
	encoder.TimeKey, encoder.EncodeTime = "time", zapcore.RFC3339NanoTimeEncoder
	lines := &zapcore.BufferedWriteSyncer{WS: zapcore.AddSync(justWriter{w}), Size: logBuffer, FlushInterval: logDelay}
	return zap.New(promptCore{zapcore.NewCore(zapcore.NewJSONEncoder(encoder), lines, level)})
}

// justWriter hides the Sync of a file: the operations log is not durable.
type justWriter struct{ io.Writer }

// promptCore writes what somebody should look at without delay.
type promptCore struct{ zapcore.Core }

func (c promptCore) With(fields []zapcore.Field) zapcore.Core {
	return promptCore{c.Core.With(fields)}
}

func (c promptCore) Check(e zapcore.Entry, to *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return to.AddCore(e, c)
	}
	return to
}

func (c promptCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	err := c.Core.Write(e, fields)
	if e.Level >= zapcore.WarnLevel {
		err = errors.Join(err, c.Sync())
	}
	return err
}

// fieldsPool keeps the fields of a line: cores encode them before they return.
var fieldsPool = sync.Pool{New: func() any { f := make([]zap.Field, 0, 20); return &f }}

// logCall writes the one line of the operations log.
func (s *Service) logCall(c *Call, err *api.Error) {
	r := &c.record
	kept := fieldsPool.Get().(*[]zap.Field)
	defer fieldsPool.Put(kept)
	fields := append((*kept)[:0],
		zap.String("requestId", c.RequestID), zap.String("face", c.Face),
		zap.String("operation", r.Operation), zap.String("principal", r.Principal),
		zap.String("sourceAddress", r.SourceAddress), zap.String("outcome", r.Outcome),
		zap.Int64("latencyMicros", r.LatencyMicros), zap.Uint64("auditSeq", c.Receipt.Seq))
	if r.KeyID != "" {
		fields = append(fields, zap.String("keyId", r.KeyID), zap.Int("keyVersion", r.KeyVersion))
	}
	if r.Algorithm != "" {
		fields = append(fields, zap.String("algorithm", r.Algorithm))
	}
	if id := c.traceID(); id != "" {
		fields = append(fields, zap.String("traceId", id))
	}
	if r.ApprovalID != "" {
		fields = append(fields, zap.String("approvalId", r.ApprovalID))
	}
	if r.ArtifactName != "" {
		fields = append(fields, zap.String("artifactName", r.ArtifactName), zap.String("artifactVersion", r.ArtifactVersion))
	}
	if c.items != nil {
		fields = append(fields, zap.Int("items", len(c.items)), zap.Int("failures", c.failures()))
	}
	if err == nil {
		s.log.Info("call", fields...)
		return
	}
	fields = append(fields, zap.String("error", string(err.Code)), zap.String("message", err.Message))
	if err.Cause != nil {
		fields = append(fields, zap.NamedError("cause", err.Cause))
	}
	if r.Outcome == string(api.Failed) && err.Code != api.Throttling { // whoever calls too fast does not need somebody to look
		s.log.Error("call", fields...)
		return
	}
	s.log.Info("call", fields...)
}
