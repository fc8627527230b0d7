package backends

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/redis/go-redis/v9"

	"github.com/letswriteabook/realtime/internal/config"
	"github.com/letswriteabook/realtime/internal/redisdial"
)

// Redis is a client whose connections find their server by REDIS_MODE.
type Redis struct {
	*redis.Client
	servers *redisdial.Servers
}

// OpenRedis returns a client of REDIS_URL, or nil without one. It does not connect yet, so
// that a Redis that is down does not stop the start.
func OpenRedis(cfg config.Config, logger *slog.Logger) (*Redis, error) {
	if cfg.RedisURL == "" {
		logger.Warn("REDIS_URL is not set: events are published over HTTP only")
		return nil, nil
	}
	servers, err := redisdial.New(cfg.Redis(), logger)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", config.ErrInvalid, config.Wrong("REDIS_URL", cfg.RedisURL))
	}
	RouteDrivers(logger)
	return &Redis{redis.NewClient(servers.Options()), servers}, nil
}

// Run closes the connections to a server that is no longer the one, until ctx ends: see
// [redisdial.Servers.Run].
func (r *Redis) Run(ctx context.Context) error { return r.servers.Run(ctx) }

// Close closes the client and what finds its server.
func (r *Redis) Close() error { return errors.Join(r.Client.Close(), r.servers.Close()) }

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
