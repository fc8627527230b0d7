package backends

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/redis/go-redis/v9"

	"github.com/letswriteabook/realtime/internal/config"
)

// Redis returns a client of REDIS_URL, or nil without one. It does not connect yet, so
// that a Redis that is down does not stop the start.
func Redis(cfg config.Config, logger *slog.Logger) (*redis.Client, error) {
	if cfg.RedisURL == "" {
		logger.Warn("REDIS_URL is not set: events are published over HTTP only")
		return nil, nil
	}
	opts, err := redis.ParseURL(cfg.RedisURL)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", config.ErrInvalid, config.Wrong("REDIS_URL", cfg.RedisURL))
	}
	RouteDrivers(logger)
	return redis.NewClient(opts), nil
}

// RouteDrivers sends the lines that the Redis driver logs by itself to a logger, at
// level debug; by default they go to standard error. The driver has one logger for the
// whole process.
func RouteDrivers(logger *slog.Logger) { redis.SetLogger(redisLog{logger}) }

// redisLog receives the lines that the Redis driver logs by itself. Package ingest logs
// what matters of them.
type redisLog struct{ logger *slog.Logger }

// Printf implements the driver's logger.
func (l redisLog) Printf(ctx context.Context, format string, args ...any) {
	l.logger.DebugContext(ctx, "redis driver", "said", fmt.Sprintf(format, args...))
}
