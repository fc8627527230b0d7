package ingest

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

const (
	// lettersKey is the key of the queue of dead letters. It cannot be a jobId, which has no
	// control characters.
	lettersKey = "\x00letters"
	// letterTimeout bounds one attempt to store a letter. The log retries until its context
	// ends, and would report the failure only then.
	letterTimeout = 5 * time.Second
)

// ErrLettersFail is returned by [Ingest.Letters] while dead letters cannot be stored. They
// wait; beyond the bound they are dropped and counted. Events are still stored.
var ErrLettersFail = errors.New("dead letters cannot be stored")

// letters bounds the dead letters that wait for the log. They have a budget of their own,
// so that accepted events never wait for room taken by refused ones. While letters cannot
// be stored, those beyond the budget are dropped and counted.
type letters struct {
	budget *budget
	// failures counts the letters that could not be stored yet.
	failures failures
}

func newLetters(cfg Config) *letters {
	return &letters{budget: newBudget(cfg.MaxPendingLetters, cfg.MaxPendingLetterBytes, func(int, int) {})}
}

// take books room for a letter. While letters are being stored it waits for room, so that a
// burst of them slows down the reader. While they cannot be stored it returns false
// instead.
func (l *letters) take(ctx context.Context, sizeBytes int) bool {
	for ctx.Err() == nil {
		patience := letterTimeout / 50
		if l.failures.ongoing() {
			patience = 0
		}
		waiting, cancel := context.WithTimeout(ctx, patience)
		taken := l.budget.take(waiting, sizeBytes)
		cancel()
		if taken {
			return true
		}
		if patience == 0 {
			return false
		}
	}
	l.budget.force(sizeBytes) // The event was read already, and the reader is stopping.
	return true
}

// bury queues a dead letter. It waits only if the waiting letters use all their room and
// are being stored.
func (i *Ingest) bury(ctx context.Context, letter *event) {
	if !i.letters.take(ctx, letter.sizeBytes) {
		i.metrics.lettersDropped.Inc()
		if i.letters.failures.drop() {
			i.logger.Error("dead letters are dropped until the log stores them again: the queue of waiting letters is full", "reason", letter.letter.Reason)
		}
		return
	}
	if !i.queue.add(lettersKey, letter) { // The event was refused by the log while the queue closed.
		for left := []*event{letter}; len(left) > 0; {
			left = i.storeLetters(ctx, left)
		}
	}
}

// storeLetters makes one attempt to store dead letters together. It returns those that have
// to be stored again, after a pause; if ctx has ended, it abandons them and returns none.
func (i *Ingest) storeLetters(ctx context.Context, waiting []*event) (left []*event) {
	defer i.guard.Recover("dead letters", func() {
		left = nil
		for _, e := range waiting {
			e.settle()
		}
	})
	letters := make([]messaging.DeadLetter, len(waiting))
	for n, e := range waiting {
		letters[n] = *e.letter
	}
	attempt, cancel := context.WithTimeout(ctx, letterTimeout)
	err := i.log.DeadLetter(attempt, letters...)
	cancel()
	left = unstored(waiting, err)
	for _, e := range waiting {
		switch {
		case !slices.Contains(left, e):
			i.letterStored(e)
		case !e.late && ctx.Err() == nil:
			e.late = true
			if i.letters.failures.add(time.Now()) {
				i.logger.Error("dead letters cannot be stored and are tried again; accepted events are still stored", "error", err)
			}
		}
	}
	if len(left) == 0 {
		return nil
	}
	if err := i.pause(ctx, "store dead letters", err); err != nil {
		for _, e := range left {
			i.abandon(err)
			e.settle()
		}
		return nil
	}
	return left
}

// unstored returns the letters that are not stored after an attempt that ended with err.
func unstored(letters []*event, err error) []*event {
	var some UnstoredLetters
	if !errors.As(err, &some) {
		if err == nil {
			return nil
		}
		return letters
	}
	var left []*event
	for _, n := range some.Unstored() {
		left = append(left, letters[n])
	}
	return left
}

// letterStored ends a dead letter that is in the log.
func (i *Ingest) letterStored(e *event) {
	defer e.settle()
	if e.refusal != nil {
		i.receipts.offerRefusal(*e.refusal)
	}
	if !e.late {
		return
	}
	if ended, lasted, dropped := i.letters.failures.remove(time.Now()); ended {
		i.logger.Info("dead letters are stored again", "after", lasted.Round(time.Millisecond), "dropped", dropped)
	}
}

// Letters returns nil while dead letters are stored, and otherwise [ErrLettersFail].
func (i *Ingest) Letters() error {
	if i.letters.failures.ongoing() {
		return ErrLettersFail
	}
	return nil
}
