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
	seconds *prometheus.GaugeVec
}

func newLag(log *eventstore.Log, logger *slog.Logger, registerer prometheus.Registerer) (*lag, error) {
	records := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "realtime_projections_lag_records",
		Help: "Records in the log that MongoDB does not have yet, as of the last measurement.",
	}, []string{"projection"})
	seconds := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "realtime_projections_lag_seconds",
		Help: "Age of the oldest record in the log that MongoDB does not have yet, as of the last measurement; 0 when it has all.",
	}, []string{"projection"})
	if err := errors.Join(registerer.Register(records), registerer.Register(seconds)); err != nil {
		return nil, fmt.Errorf("register the lag of the projections: %w", err)
	}
	for _, projection := range projections.Names() {
		records.WithLabelValues(projection)
		seconds.WithLabelValues(projection)
	}
	return &lag{log: log, logger: logger, records: records, seconds: seconds}, nil
}

// run measures until ctx ends. What cannot be measured keeps its last value.
func (l *lag) run(ctx context.Context) error {
	tick := time.NewTicker(lagInterval)
	defer tick.Stop()
	for {
		for _, projection := range projections.Names() {
			state, _, err := l.log.Behind(ctx, projection)
			if err == nil {
				l.records.WithLabelValues(projection).Set(float64(state.Pending))
				l.seconds.WithLabelValues(projection).Set(state.LagSeconds())
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
