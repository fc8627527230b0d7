package server

import (
	"context"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/internal/config"
	"github.com/letswriteabook/realtime/operations/deadletters"
)

// Letters is what the operators' commands do with dead letters.
type Letters struct {
	log   *eventstore.Log
	rules deadletters.Rules
}

// LetterFilter chooses letters; LetterOutcome is what became of one.
type (
	LetterFilter  = deadletters.Filter
	LetterOutcome = deadletters.Outcome
	Letter        = eventstore.Letter
)

// Letters returns the dead letters beside the log.
func (o *Operator) Letters(ctx context.Context) (*Letters, error) {
	catalogue, err := config.LoadCatalogue(o.app.cfg)
	if err != nil {
		return nil, err
	}
	log, err := o.attach(ctx)
	if err != nil {
		return nil, err
	}
	return &Letters{log: log, rules: deadletters.Rules{Catalogue: catalogue, MaxEventBytes: o.app.cfg.MaxEvent}}, nil
}

// Each hands the letters that the filter lets through to take, oldest first.
func (l *Letters) Each(ctx context.Context, filter LetterFilter, take func(Letter) error) error {
	return deadletters.Each(ctx, l.log, filter, take)
}

// Redrive appends what today's rules accept; see [deadletters.Redrive].
func (l *Letters) Redrive(ctx context.Context, filter LetterFilter, dryRun bool, told func(LetterOutcome) error) error {
	return deadletters.Redrive(ctx, l.log, l.rules, filter, dryRun, told)
}

// Purge removes letters, and returns how many; told, if any, gets the number so far.
func (l *Letters) Purge(ctx context.Context, filter LetterFilter, dryRun bool, told func(count int)) (int, error) {
	return deadletters.Purge(ctx, l.log, filter, dryRun, told)
}

// LetterJob returns the job that a letter names, as far as it can be read.
func LetterJob(letter Letter) string { return deadletters.JobOf(letter.Body) }
