package maintain

import (
	"context"
	"log/slog"

	"github.com/nats-io/nats.go"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/eventstore/internal/jet"
	"github.com/letswriteabook/realtime/internal/contain"
)

// Log is the log with what operators do to it. Its methods may be called concurrently.
type Log struct {
	*eventstore.Log
	client *jet.Client
	guard  *contain.Guard
	// listing has a place for the one list of jobs that is made at a time.
	listing chan struct{}
}

// Of returns the operators' view of a log.
func Of(log *eventstore.Log) *Log {
	return &Log{Log: log, client: log.Client(), guard: log.Contain(), listing: make(chan struct{}, 1)}
}

// Attach returns the log on a connection as it is, see [eventstore.Attach].
func Attach(ctx context.Context, conn *nats.Conn, cfg eventstore.Config, logger *slog.Logger) (*Log, error) {
	log, err := eventstore.Attach(ctx, conn, cfg, logger, nil)
	if err != nil {
		return nil, err
	}
	return Of(log), nil
}
