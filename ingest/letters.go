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
	// letterQueues is the number of dead letters that are written at the same time. They
	// need no order, and in a single queue a burst of them would delay the reader.
	letterQueues = 8
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
	// turn numbers the letters, to choose a queue.
	turn atomic.Uint64
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
	l.budget.force(sizeBytes) // It was read, and the reader stops anyway.
	return true
}

// key returns the key of the queue for the next letter. It cannot be a jobId, which has no
// control characters.
func (l *letters) key() string {
	return "\x00" + strconv.FormatUint(l.turn.Add(1)%letterQueues, 10)
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
	if !i.queue.add(i.letters.key(), letter) { // The event was refused by the log while the queue closed.
		i.storeOne(ctx, letter)
	}
}

// storeLetter stores a dead letter, and retries until the log accepts it or ctx ends.
func (i *Ingest) storeLetter(ctx context.Context, letter messaging.DeadLetter) error {
	for failed := false; ; {
		attempt, cancel := context.WithTimeout(ctx, letterTimeout)
		err := i.log.DeadLetter(attempt, letter)
		cancel()
		if err == nil {
			if failed {
				i.letterRecovered()
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

// letterRecovered records that a dead letter was stored after failed attempts.
func (i *Ingest) letterRecovered() {
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
