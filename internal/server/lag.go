package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/projections"
)

// lagInterval is how often the projections' lag is measured.
const lagInterval = 2 * time.Second

// lag measures how far the projections are behind the log, which is the log's to
// say: while MongoDB is away the projections themselves hear nothing.
type lag struct {
	log     *eventstore.Log
	logger  *slog.Logger
	records *prometheus.GaugeVec
}

func newLag(log *eventstore.Log, logger *slog.Logger, registerer prometheus.Registerer) (*lag, error) {
	records := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "realtime_projections_lag_records",
		Help: "Records in the log that MongoDB does not have yet, as of the last measurement.",
	}, []string{"projection"})
	if err := registerer.Register(records); err != nil {
		return nil, fmt.Errorf("register the lag of the projections: %w", err)
	}
	return &lag{log: log, logger: logger, records: records}, nil
}

// run measures until ctx ends. What cannot be measured keeps its last value.
func (l *lag) run(ctx context.Context) error {
	tick := time.NewTicker(lagInterval)
	defer tick.Stop()
	for {
		for _, projection := range []string{projections.History, projections.JobHeads} {
			records, err := l.log.ConsumerLag(ctx, projection)
			if errors.Is(err, eventstore.ErrNoConsumer) { // It never ran: all of the log is its lag.
				records, err = l.all(ctx)
			}
			if err == nil {
				l.records.WithLabelValues(projection).Set(float64(records))
			} else {
				l.logger.Debug("lag was not measured", "projection", projection, "error", err)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// all returns how many records the log has, or had: deleted ones count.
func (l *lag) all(ctx context.Context) (uint64, error) {
	state, err := l.log.State(ctx)
	if err != nil || state.LastSequence < state.FirstSequence {
		return 0, err
	}
	return state.LastSequence - state.FirstSequence + 1, nil
}
