package projections

import (
	"context"
	"log/slog"
	"time"

	"github.com/letswriteabook/realtime/internal/outage"
	"github.com/letswriteabook/realtime/messaging"
)

// projection applies batches of one consumer, and counts and logs the outcome. Its log
// calls apply from one goroutine at a time.
type projection struct {
	name     string
	write    func(context.Context, []messaging.Record) error
	metrics  *metrics
	standing *standing
	outage   *outage.Book
	tracer   Tracer // nil without traces
}

// Tracer records the work of the projections as spans.
type Tracer interface {
	// Projected records that a projection has applied a batch, or that it failed. It must not
	// block.
	Projected(projection string, records []messaging.Record, began, ended time.Time, err error)
}

// Trace makes the projections report to a tracer. It must be called before [Store.Run].
func (s *Store) Trace(tracer Tracer) { s.tracer = tracer }

func (s *Store) newProjection(name string, write func(context.Context, []messaging.Record) error) *projection {
	return &projection{
		name:     name,
		write:    write,
		metrics:  s.metrics,
		tracer:   s.tracer,
		standing: s.standing,
		outage: outage.NewBook(s.logger, slog.LevelWarn, "MongoDB does not take a projection's batches; they are repeated until it does",
			"MongoDB takes a projection's batches again", "projection", name),
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
	if p.tracer != nil {
		p.tracer.Projected(p.name, records, start, time.Now(), err)
	}
	p.standing.set(p.name, err)
	p.report(err)
	if err == nil {
		p.metrics.applied.WithLabelValues(p.name).Add(float64(len(records)))
	}
	return err
}

// report takes in the outcome of a batch.
func (p *projection) report(err error) {
	up := 1.0
	if err != nil {
		up = 0
	}
	p.metrics.up.WithLabelValues(p.name).Set(up)
	p.outage.Note(err)
}
