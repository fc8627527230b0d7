package eventstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/eventstore/internal/layout"
	"github.com/letswriteabook/realtime/eventstore/internal/streams"
)

// Attach returns the log on a connection as it is: unlike [Open] it makes no
// stream and changes none, so that a tool with other settings than the gateways'
// leaves their limits alone. It returns [ErrNoStream] when there is no log.
func Attach(ctx context.Context, conn *nats.Conn, cfg Config, logger *slog.Logger, registerer prometheus.Registerer) (*Log, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	client, err := newClient(conn, cfg)
	if err != nil {
		return nil, fmt.Errorf("attach to the log: %w", err)
	}
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	measured, err := newMetrics(registerer)
	if err != nil {
		return nil, fmt.Errorf("attach to the log: register metrics: %w", err)
	}
	log := newLog(client, cfg, logger, measured)
	log.readOnly = true
	var restoring error
	err = log.whenAvailable(ctx, func(ctx context.Context) error {
		stream, err := client.JS.Stream(ctx, layout.EventStream)
		if err != nil {
			return err
		}
		if restoring = streams.BeingRestored(stream.CachedInfo()); restoring != nil {
			return nil // for a person to see to, so it is not waited for
		}
		_, err = log.learn(ctx, stream.CachedInfo())
		return err
	})
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return nil, fmt.Errorf("attach to the log: %w", ErrNoStream)
	case errors.Join(err, restoring) != nil:
		return nil, fmt.Errorf("attach to the log: %w", cmp.Or(restoring, log.explain(err)))
	}
	return log, nil
}

// Head returns the epoch of the log in a domain and its newest sequence, without
// attaching to it. It returns [ErrNoStream] when there is none, and [ErrRestoring] for one
// that is being restored.
func Head(ctx context.Context, conn *nats.Conn, domain string) (epoch string, head uint64, err error) {
	cfg := DefaultConfig()
	cfg.Domain = domain
	log, err := Attach(ctx, conn, cfg, nil, nil)
	if err != nil {
		return "", 0, err
	}
	state, err := log.State(ctx)
	return state.Epoch, state.Last, err
}
