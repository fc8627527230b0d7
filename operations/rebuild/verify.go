package rebuild

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/letswriteabook/realtime/messaging"
	"github.com/letswriteabook/realtime/projections"
)

// Report is what a comparison found.
type Report struct {
	Projection string `json:"projection"`
	Collection string `json:"collection"`
	Epoch      string `json:"epoch"`
	// FirstSequence and LastSequence are the ends of what was compared.
	FirstSequence uint64 `json:"firstSequence"`
	LastSequence  uint64 `json:"lastSequence"`
	Equal         bool   `json:"equal"`
	projections.Findings
	// Mended is how many documents a mending before the comparison has made fewer.
	Mended  int     `json:"mended,omitempty"`
	Seconds float64 `json:"seconds"`
}

// Verify compares the projection's collection, or its shadow, with a fold of the
// log up to what its consumer has acknowledged, and remembers the first few
// differences, as many as show says. It changes nothing.
func (r *Rebuild) Verify(ctx context.Context, shadow bool, show int) (Report, error) {
	began := time.Now()
	consumer, collection := r.model.Name(), r.model.Collection()
	if shadow {
		consumer, collection = r.model.RebuildConsumer(), collection+" (shadow)"
	}
	state, err := r.log.State(ctx)
	if err != nil {
		return Report{}, err
	}
	consumed, err := r.log.ConsumerState(ctx, consumer)
	if err != nil {
		return Report{}, err
	}
	extent := state
	extent.Last = consumed.Floor
	audit := r.model.Audit(shadow, extent, show)
	if err := r.sums(ctx, audit, extent); err != nil {
		return Report{}, err
	}
	for audit.Next() {
		if audit.Rereads() {
			if err := r.fold(ctx, "look at differences", extent, audit.Expect); err != nil {
				return Report{}, err
			}
		}
		now, err := r.log.State(ctx)
		if err != nil {
			return Report{}, err
		}
		if now.Epoch != extent.Epoch {
			return Report{}, fmt.Errorf("verify %s: %w", r.model.Name(), errEpochChanged)
		}
		if err := audit.Match(ctx, now.First); err != nil {
			return Report{}, err
		}
	}
	findings := audit.Findings()
	if findings.Kept > 0 {
		r.report(Progress{Step: "look for events that stand twice"})
		found, err := r.model.Mend(ctx, projections.Mending{Epoch: extent.Epoch, Shadow: shadow, Dry: true})
		if err != nil {
			return Report{}, err
		}
		findings.Doubled, findings.Erased = uint64(found.Doubled), uint64(found.Erased)
	}
	return Report{
		Projection: r.model.Name(), Collection: collection,
		Epoch: extent.Epoch, FirstSequence: extent.First, LastSequence: extent.Last,
		Equal: findings.Equal(), Findings: findings, Seconds: time.Since(began).Seconds(),
	}, nil
}

// MendDoubled makes each event that stands twice in the projection's collection stand once,
// removes workers' documents of erased events, and returns how many documents are fewer for
// it.
func (r *Rebuild) MendDoubled(ctx context.Context) (int, error) {
	r.report(Progress{Step: "mend events that stand twice"})
	state, err := r.log.State(ctx)
	if err != nil {
		return 0, err
	}
	mended, err := r.model.Mend(ctx, projections.Mending{Epoch: state.Epoch})
	return mended.Total(), err
}

// sums folds the log and, beside it, sums up the collection: the one is work of NATS
// and of this process, the other of MongoDB.
func (r *Rebuild) sums(ctx context.Context, audit *projections.Audit, extent messaging.Extent) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return audit.Sum(ctx) }) // ends with the collection, or with ctx
	folded := r.fold(ctx, "fold the log", extent, audit.Expect)
	group.Go(func() error { return folded }) // stops the other when it failed
	r.report(Progress{Step: "sum up the collection"})
	if err := group.Wait(); err != nil {
		return err
	}
	audit.Compare()
	return nil
}

// fold reads the extent.
func (r *Rebuild) fold(ctx context.Context, step string, extent messaging.Extent, each func(messaging.Record) error) error {
	read, total := uint64(0), uint64(0)
	if extent.Last >= extent.First {
		total = extent.Last - extent.First + 1
	}
	r.report(Progress{Step: step, Total: total})
	return r.log.Scan(ctx, extent.First, extent.Last, func(record messaging.Record) error {
		if read++; read%1024 == 0 || record.Sequence == extent.Last {
			r.report(Progress{Step: step, Done: record.Sequence - extent.First + 1, Total: total})
		}
		return each(record)
	})
}
