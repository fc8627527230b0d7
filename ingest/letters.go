package ingest

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

const (
	// letterQueues is how many dead letters are written at a time. They need no order,
	// and one queue would let a flood of them hold up the reading.
	letterQueues = 8
	// letterTimeout bounds one attempt to store a letter. The log itself retries until
	// its context ends, and the failure would not be reported before.
	letterTimeout = 5 * time.Second
)

// ErrLettersFail is returned by [Ingest.Letters] while dead letters cannot be stored.
// They wait, and beyond the bound they are dropped and counted; events go on.
var ErrLettersFail = errors.New("dead letters cannot be stored")

// letters are the dead letters that wait for the log. They have a budget of their own,
// so that good events never wait for room that refused ones have taken: while letters
// cannot be stored, what is beyond the budget is dropped and counted.
type letters struct {
	budget *budget
	// failures are the letters that the log has refused so far.
	failures failures
	// turn numbers the letters, for the choice of a queue.
	turn atomic.Uint64
}

func newLetters(cfg Config) *letters {
	return &letters{budget: newBudget(cfg.MaxPendingLetters, cfg.MaxPendingLetterBytes, func(int, int) {})}
}

// take books room for a letter. While letters are stored it waits for room, so that a
// flood of them slows down the reading; while they cannot be, it reports false.
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
	l.budget.force(sizeBytes) // It was read, and the reader stops anyway.
	return true
}

// key returns the key of the next letter's queue, which no jobId is: those have no
// control characters.
func (l *letters) key() string {
	return "\x00" + strconv.FormatUint(l.turn.Add(1)%letterQueues, 10)
}

// bury puts a dead letter into the queue. It returns at once, unless the letters that
// wait use all their room and are being stored.
func (i *Ingest) bury(ctx context.Context, letter *event) {
	if !i.letters.take(ctx, letter.sizeBytes) {
		i.metrics.lettersDropped.Inc()
		if i.letters.failures.drop() {
			i.logger.Error("dead letters are dropped until the log stores them again: as many wait as may", "reason", letter.letter.Reason)
		}
		return
	}
	if !i.queue.add(i.letters.key(), letter) { // An event that is stored while the queue closes.
		i.storeOne(ctx, letter)
	}
}

// storeLetter stores a dead letter, repeating until the log takes it.
func (i *Ingest) storeLetter(ctx context.Context, letter messaging.DeadLetter) error {
	for failed := false; ; {
		attempt, cancel := context.WithTimeout(ctx, letterTimeout)
		err := i.log.DeadLetter(attempt, letter)
		cancel()
		if err == nil {
			if failed {
				i.storesLetters()
			}
			return nil
		}
		if !failed && ctx.Err() == nil {
			failed = true
			if i.letters.failures.add(time.Now()) {
				i.logger.Error("dead letters cannot be stored and are tried again; good events go on", "error", err)
			}
		}
		if err := i.pause(ctx, "store a dead letter", err); err != nil {
			return err
		}
	}
}

// storesLetters counts a dead letter as stored whose earlier attempts had failed.
func (i *Ingest) storesLetters() {
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
