package erasure

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/letswriteabook/realtime/eventstore/audit"
	"github.com/letswriteabook/realtime/eventstore/maintain"
	"github.com/letswriteabook/realtime/internal/wait"
	"github.com/letswriteabook/realtime/messaging"
	"github.com/letswriteabook/realtime/operations/deadletters"
	"github.com/letswriteabook/realtime/projections"
)

const (
	// turnLength is for how long the projections stand still at once while records are
	// overwritten, and betweenTurns for how long they go on.
	turnLength   = 10 * time.Second
	betweenTurns = 2 * time.Second
	// letterPage is how many dead letters are removed between two reports.
	letterPage = 1000
)

// Finish removes what an erasure that was noted as begun is to remove, has it noted
// in the backups, and notes that it is done. It may be repeated.
func (e *Eraser) Finish(ctx context.Context, begun audit.Erasure, backups []string) (audit.Erasure, error) {
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
func (e *Eraser) conclude(ctx context.Context, done audit.Erasure) (audit.Erasure, error) {
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
	done.Stage, done.At = audit.StageDone, time.Now().UTC()
	done.Number, err = e.cfg.Audit.Note(ctx, done)
	return done, err
}

// remove removes what an erasure is to remove, and returns what is to be noted then.
func (e *Eraser) remove(ctx context.Context, begun audit.Erasure, backups []string) (audit.Erasure, error) {
	state, err := e.cfg.Log.State(ctx)
	if err != nil {
		return begun, err
	}
	var removed audit.Removed
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
	if removed.Letters, err = e.eraseLetters(ctx, begun); err != nil {
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
	done.Removed = audit.Removed{
		Events: max(begun.Removed.Events, removed.Events), Letters: max(begun.Removed.Letters, removed.Letters),
		Documents: max(begun.Removed.Documents, removed.Documents), Heads: max(begun.Removed.Heads, removed.Heads),
	}
	return done, nil
}

// eraseDocuments removes what the read models have of what is erased, in a log of an
// epoch: of one that has begun since, nothing is.
func (e *Eraser) eraseDocuments(ctx context.Context, begun audit.Erasure, epoch string) (projections.JobDocuments, error) {
	if e.cfg.Models == nil {
		return projections.JobDocuments{}, nil
	}
	through := messaging.Position{Epoch: epoch}
	if epoch == begun.Epoch {
		through.Sequence = begun.Through
	}
	total := begun.Removed.Documents + begun.Removed.Heads
	e.cfg.Report("remove documents", 0, total)
	return e.cfg.Models.EraseJob(ctx, begun.JobID, through, func(removed uint64) {
		e.cfg.Report("remove documents", removed, max(total, removed))
	})
}

// errTurn ends a turn of an erasure, so that the projections can go on for a while.
var errTurn = errors.New("the turn of the erasure is over")

// eraseEvents removes the records from the log while no projection holds any. The
// order counts: the server takes a record that is removed off a consumer's account of
// what is in flight, whoever still holds it.
//
// Overwriting many takes long. It goes in turns, between which the projections go on
// with what other jobs have got; what they write of this one is removed in the end.
func (e *Eraser) eraseEvents(ctx context.Context, begun audit.Erasure) (erased uint64, err error) {
	e.cfg.Report("pause the projections", 0, 0)
	for {
		count, done, err := e.eraseTurn(ctx, begun, erased)
		erased += count
		if err != nil || done {
			return erased, err
		}
		if err := pauseFor(ctx, betweenTurns); err != nil {
			return erased, err
		}
	}
}

// eraseTurn removes records until all are gone, or the turn is over. before have been
// removed in earlier turns.
func (e *Eraser) eraseTurn(ctx context.Context, begun audit.Erasure, before uint64) (erased uint64, done bool, err error) {
	pause := pause{log: e.cfg.Log}
	defer func() { err = errors.Join(err, pause.end(ctx)) }()
	if err := pause.begin(ctx); err != nil {
		return 0, false, err
	}
	turn, end := context.WithCancelCause(ctx)
	defer end(nil)
	step, remove := "overwrite events", e.cfg.Log.EraseJob
	if begun.Purged {
		step, remove = "purge events", e.cfg.Log.PurgeJob
	}
	var lapsed error
	began := time.Now()
	erased, err = remove(turn, begun.JobID, begun.Through, func(erased uint64) {
		e.cfg.Report(step, before+erased, max(begun.Removed.Events, before+erased))
		lapsed = errors.Join(lapsed, pause.renew(ctx))
		if !begun.Purged && time.Since(began) > turnLength {
			end(errTurn)
		}
	})
	done = err == nil
	if errors.Is(context.Cause(turn), errTurn) {
		err = ctx.Err()
	}
	return erased, done, errors.Join(err, lapsed, pause.held(ctx))
}

// letters returns the dead letters that name the job, and those that cannot be read
// and hold its name.
func (e *Eraser) letters(ctx context.Context, jobID string) (named, mentions []uint64, err error) {
	quoted, err := json.Marshal(jobID)
	if err != nil {
		return nil, nil, err
	}
	err = deadletters.Each(ctx, e.cfg.Log, deadletters.Filter{}, func(letter maintain.Letter) error {
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

func (e *Eraser) eraseLetters(ctx context.Context, begun audit.Erasure) (erased uint64, err error) {
	named, _, err := e.letters(ctx, begun.JobID)
	if err != nil {
		return 0, err
	}
	for len(named) > 0 {
		// One by one where each is overwritten, which takes a while.
		page := named[:1]
		if begun.Purged {
			page = named[:min(len(named), letterPage)]
			err = e.cfg.Log.RemoveDeadLetters(ctx, page)
		} else {
			err = e.cfg.Log.EraseDeadLetter(ctx, page[0])
		}
		if err != nil {
			return erased, err
		}
		named, erased = named[len(page):], erased+uint64(len(page))
		e.cfg.Report("remove dead letters", erased, erased+uint64(len(named)))
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
