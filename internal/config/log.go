package config

import (
	"io"
	"log/slog"
)

// NewLogger returns a logger in the format and from the level that the settings
// name. The settings must be valid.
func NewLogger(w io.Writer, cfg Config) *slog.Logger {
	return NewLoggerAt(w, cfg, cfg.Level())
}

// Level returns LOG_LEVEL. The settings must be valid.
func (c Config) Level() slog.Level {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.LogLevel)) // validated
	return level
}

// NewLoggerAt returns a logger whose level is the caller's, who may change it.
func NewLoggerAt(w io.Writer, cfg Config, level slog.Leveler) *slog.Logger {
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
