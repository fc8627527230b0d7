package projections

import (
	"context"
	"log/slog"
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

// projection applies batches of one consumer, and counts and logs the outcome. Its log
// calls apply from one goroutine at a time, which owns down.
type projection struct {
	name     string
	write    func(context.Context, []messaging.Record) error
	logger   *slog.Logger
	metrics  *metrics
	standing *standing
	down     bool // the last batch failed
}

func (s *Store) newProjection(name string, write func(context.Context, []messaging.Record) error) *projection {
	return &projection{
		name:     name,
		write:    write,
		logger:   s.logger,
		metrics:  s.metrics,
		standing: s.standing,
	}
}

// apply writes a batch. An error means that some of it may be missing and that
// all of it is to be offered again.
func (p *projection) apply(ctx context.Context, records []messaging.Record) error {
	start := time.Now()
	err := p.write(ctx, records)
	p.metrics.seconds.WithLabelValues(p.name).Observe(time.Since(start).Seconds())
	p.metrics.batch.WithLabelValues(p.name).Observe(float64(len(records)))
	if err != nil && ctx.Err() != nil {
		return err // stopped, which says nothing of MongoDB
	}
	p.standing.set(p.name, err)
	p.report(ctx, err)
	if err == nil {
		p.metrics.applied.WithLabelValues(p.name).Add(float64(len(records)))
	}
	return err
}

// report logs a change between working and failing, once.
func (p *projection) report(ctx context.Context, err error) {
	down := err != nil
	if down == p.down {
		return
	}
	p.down = down
	if down {
		p.metrics.up.WithLabelValues(p.name).Set(0)
		p.logger.WarnContext(ctx, "MongoDB does not take a projection's batches; they are repeated until it does",
			slog.String("projection", p.name), slog.Any("error", err))
		return
	}
	p.metrics.up.WithLabelValues(p.name).Set(1)
	p.logger.InfoContext(ctx, "MongoDB takes a projection's batches again", slog.String("projection", p.name))
}
