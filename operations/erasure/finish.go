package erasure

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/internal/wait"
	"github.com/letswriteabook/realtime/messaging"
	"github.com/letswriteabook/realtime/operations/deadletters"
	"github.com/letswriteabook/realtime/projections"
)

// Finish removes what an erasure that was noted as begun is to remove, has it noted
// in the backups, and notes that it is done. It may be repeated.
func (e *Eraser) Finish(ctx context.Context, begun eventstore.Erasure, backups []string) (eventstore.Erasure, error) {
	done, err := e.remove(ctx, begun, backups)
	if err == nil {
		err = e.settle(ctx)
	}
	if err != nil {
		return begun, err
	}
	return e.conclude(ctx, done)
}

// conclude looks a last time, and notes that an erasure is done.
func (e *Eraser) conclude(ctx context.Context, done eventstore.Erasure) (eventstore.Erasure, error) {
	// A projection that began to run meanwhile, as one does after a restore, was not
	// there to be paused, and may have written what it was handed before.
	state, err := e.cfg.Log.State(ctx)
	if err != nil {
		return done, err
	}
	late, err := e.eraseDocuments(ctx, done, state.Epoch)
	if err != nil {
		return done, err
	}
	done.Removed.Documents += late.Events
	done.Removed.Heads += late.Heads
	done.Stage, done.At = eventstore.StageDone, time.Now().UTC()
	done.Number, err = e.cfg.Audit.Note(ctx, done)
	return done, err
}

// remove removes what an erasure is to remove, and returns what is to be noted then.
func (e *Eraser) remove(ctx context.Context, begun eventstore.Erasure, backups []string) (eventstore.Erasure, error) {
	state, err := e.cfg.Log.State(ctx)
	if err != nil {
		return begun, err
	}
	var removed eventstore.Removed
	if state.Epoch == begun.Epoch { // in another, the log has none of it
		if removed.Events, err = e.eraseEvents(ctx, begun); err != nil {
			return begun, err
		}
	}
	documents, err := e.eraseDocuments(ctx, begun, state.Epoch)
	if err != nil {
		return begun, err
	}
	removed.Documents, removed.Heads = documents.Events, documents.Heads
	if removed.Letters, err = e.eraseLetters(ctx, begun.JobID); err != nil {
		return begun, err
	}
	done := begun
	for _, dir := range backups {
		if err := e.cfg.Manifests.Note(dir, begun); err != nil {
			return begun, err
		}
		if !slices.Contains(done.Backups, dir) {
			done.Backups = append(done.Backups, dir)
		}
	}
	// What a call that was interrupted has removed was there when it began.
	done.Removed = eventstore.Removed{
		Events: max(begun.Removed.Events, removed.Events), Letters: max(begun.Removed.Letters, removed.Letters),
		Documents: max(begun.Removed.Documents, removed.Documents), Heads: max(begun.Removed.Heads, removed.Heads),
	}
	return done, nil
}

// eraseDocuments removes what the read models have of what is erased, in a log of an
// epoch: of one that has begun since, nothing is.
func (e *Eraser) eraseDocuments(ctx context.Context, begun eventstore.Erasure, epoch string) (projections.JobDocuments, error) {
	if e.cfg.Models == nil {
		return projections.JobDocuments{}, nil
	}
	through := messaging.Position{Epoch: epoch}
	if epoch == begun.Epoch {
		through.Sequence = begun.Through
	}
	e.cfg.Report("remove documents", 0, 0)
	return e.cfg.Models.EraseJob(ctx, begun.JobID, through)
}

// eraseEvents removes the records from the log while no projection holds any. The
// order counts: the server takes a record that is removed off a consumer's account of
// what is in flight, whoever still holds it.
func (e *Eraser) eraseEvents(ctx context.Context, begun eventstore.Erasure) (erased uint64, err error) {
	pause := pause{log: e.cfg.Log}
	defer func() { err = errors.Join(err, pause.end(ctx)) }()
	e.cfg.Report("pause the projections", 0, 0)
	if err := pause.begin(ctx); err != nil {
		return 0, err
	}
	var lapsed error
	erased, err = e.cfg.Log.EraseJob(ctx, begun.JobID, begun.Through, func(erased uint64) {
		e.cfg.Report("overwrite events", erased, begun.Removed.Events)
		lapsed = errors.Join(lapsed, pause.renew(ctx))
	})
	return erased, errors.Join(err, lapsed, pause.held(ctx))
}

// letters returns the dead letters that name the job, and those that cannot be read
// and hold its name.
func (e *Eraser) letters(ctx context.Context, jobID string) (named, mentions []uint64, err error) {
	quoted, err := json.Marshal(jobID)
	if err != nil {
		return nil, nil, err
	}
	err = deadletters.Each(ctx, e.cfg.Log, deadletters.Filter{}, func(letter eventstore.Letter) error {
		switch name := deadletters.JobOf(letter.Body); {
		case name == jobID:
			named = append(named, letter.Sequence)
		case name == "" && (bytes.Contains(letter.Body, quoted) || bytes.Contains(letter.Body, []byte(jobID))):
			mentions = append(mentions, letter.Sequence)
		}
		return nil
	})
	return named, mentions, err
}

func (e *Eraser) eraseLetters(ctx context.Context, jobID string) (erased uint64, err error) {
	named, _, err := e.letters(ctx, jobID)
	if err != nil {
		return 0, err
	}
	for _, sequence := range named {
		if err := e.cfg.Log.EraseDeadLetter(ctx, sequence); err != nil {
			return erased, err
		}
		erased++
		e.cfg.Report("overwrite dead letters", erased, uint64(len(named)))
	}
	return erased, nil
}

// settle waits until no gateway goes by what it knew before the erasure began.
func (e *Eraser) settle(ctx context.Context) error {
	e.cfg.Report("wait for gateways that are cut off", 0, 0)
	return pauseFor(ctx, e.cfg.Settle)
}

// pauseFor waits; a wait that its context ends returns why that ended.
func pauseFor(ctx context.Context, length time.Duration) error {
	if wait.For(ctx, length) != nil {
		return context.Cause(ctx)
	}
	return nil
}
