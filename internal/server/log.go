package server

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"github.com/redis/go-redis/v9"
)

// NewLogger returns a logger in the format and from the level that the settings
// name. The settings must be valid.
func NewLogger(w io.Writer, cfg Config) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(cfg.LogLevel)) // validated
	opts := &slog.HandlerOptions{Level: level, ReplaceAttr: withUnit}
	if cfg.LogFormat == "text" {
		return slog.New(slog.NewTextHandler(w, opts))
	}
	return slog.New(slog.NewJSONHandler(w, opts))
}

// withUnit writes a duration as text, "1.5s": in JSON it would be a number of nanoseconds.
func withUnit(_ []string, attr slog.Attr) slog.Attr {
	if attr.Value.Kind() == slog.KindDuration {
		attr.Value = slog.StringValue(attr.Value.Duration().String())
	}
	return attr
}

// RouteDrivers has the lines that drivers write of their own accord go to a logger, and
// not to standard error as they are. The drivers have one logger for the whole process.
func RouteDrivers(logger *slog.Logger) { redis.SetLogger(redisLog{logger}) }

// redisLog takes the lines that the Redis driver writes of its own accord. What
// matters of them is told by ingest, in its own words.
type redisLog struct{ logger *slog.Logger }

// Printf implements the driver's logger.
func (l redisLog) Printf(ctx context.Context, format string, args ...any) {
	l.logger.DebugContext(ctx, "redis driver", "said", fmt.Sprintf(format, args...))
}
