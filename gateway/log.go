package gateway

import (
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// NewLog makes the operations log: a JSON object on each line, times in RFC 3339.
// It leaves no line out: zap's own production configuration samples, so that of
// a hundred calls a second most would be missing.
func NewLog(w zapcore.WriteSyncer, level zapcore.LevelEnabler) *zap.Logger {
	encoder := zap.NewProductionEncoderConfig()
	encoder.TimeKey, encoder.EncodeTime = "time", zapcore.RFC3339NanoTimeEncoder
	return zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(encoder), zapcore.Lock(w), level))
}
