package operations

import (
	"context"

	"github.com/letswriteabook/realtime/eventstore/maintain"
	"github.com/letswriteabook/realtime/internal/config"
	"github.com/letswriteabook/realtime/operations/deadletters"
)

// Letters are the dead letters beside the log, and the rules by which their events are
// checked again.
type Letters struct {
	log   *maintain.Log
	rules deadletters.Rules
}

// Letters returns the dead letters beside the log.
func (o *Operator) Letters(ctx context.Context) (*Letters, error) {
	catalogue, err := config.LoadCatalogue(o.cfg)
	if err != nil {
		return nil, err
	}
	log, err := o.log(ctx)
	if err != nil {
		return nil, err
	}
	return &Letters{log: log, rules: deadletters.Rules{Catalogue: catalogue, MaxEventBytes: o.cfg.MaxEvent}}, nil
}

// Each calls take with the letters that match the filter, oldest first.
func (l *Letters) Each(ctx context.Context, filter deadletters.Filter, take func(maintain.Letter) error) error {
	return deadletters.Each(ctx, l.log, filter, take)
}

// Redrive appends the events that the present rules accept; see [deadletters.Redrive].
func (l *Letters) Redrive(ctx context.Context, filter deadletters.Filter, dryRun bool, told func(deadletters.Outcome) error) error {
	return deadletters.Redrive(ctx, l.log, l.rules, filter, dryRun, told)
}

// Purge removes letters, and returns how many; told, if not nil, gets the number so far.
func (l *Letters) Purge(ctx context.Context, filter deadletters.Filter, dryRun bool, told func(count int)) (int, error) {
	return deadletters.Purge(ctx, l.log, filter, dryRun, told)
}
