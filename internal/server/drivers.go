package server

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/redis/go-redis/v9"
)

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
