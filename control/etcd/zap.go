package etcd

import (
	"context"
	"log/slog"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// bridge lets the client of etcd write to a slog.Logger. What it says is for who
// looks for a fault: the calls themselves return what went wrong. So nothing of
// it is above Debug.
type bridge struct {
	zapcore.LevelEnabler
	logger *slog.Logger
}

func zapLogger(l *slog.Logger) *zap.Logger {
	return zap.New(&bridge{
		LevelEnabler: zap.LevelEnablerFunc(func(zapcore.Level) bool { return l.Enabled(context.Background(), slog.LevelDebug) }),
		logger:       l,
	})
}

// With implements zapcore.Core.
func (b *bridge) With(fields []zapcore.Field) zapcore.Core {
	return &bridge{LevelEnabler: b.LevelEnabler, logger: b.logger.With(attributes(fields)...)}
}

// Check implements zapcore.Core.
func (b *bridge) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if b.Enabled(e.Level) {
		return checked.AddCore(e, b)
	}
	return checked
}

// Write implements zapcore.Core.
func (b *bridge) Write(e zapcore.Entry, fields []zapcore.Field) error {
	b.logger.Debug("etcd client: "+e.Message, attributes(fields)...)
	return nil
}

// Sync implements zapcore.Core.
func (b *bridge) Sync() error { return nil }

func attributes(fields []zapcore.Field) []any {
	into := zapcore.NewMapObjectEncoder()
	args := make([]any, 0, 2*len(fields))
	for _, f := range fields {
		f.AddTo(into)
		if v, has := into.Fields[f.Key]; has {
			args = append(args, f.Key, v)
		}
	}
	return args
}
