package ingest

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/letswriteabook/realtime/messaging"
)

const (
	// deadLetterLanes is how many dead letters are written at a time. They need no
	// order, and one lane would let a flood of them hold up the reading.
	deadLetterLanes = 8
	// letterTimeout bounds one attempt to store a letter. The log itself would try for
	// as long as it may, and nobody would learn that letters cannot be stored.
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
	// failing says that the last attempt to store one has failed.
	failing atomic.Bool
	// turn numbers the letters, for the choice of a lane.
	turn atomic.Uint64

	dropLog rate.Sometimes
}

func newLetters(cfg Config) *letters {
	return &letters{
		budget:  newBudget(cfg.MaxPendingLetters, cfg.MaxPendingLetterBytes, func(int, int) {}),
		dropLog: rate.Sometimes{Interval: logInterval},
	}
}

// take books room for a letter. While letters are stored it waits for room, so that a
// flood of them slows down the reading; while they cannot be, it reports false.
func (l *letters) take(ctx context.Context, sizeBytes int) bool {
	for ctx.Err() == nil {
		patience := letterTimeout / 50
		if l.failing.Load() {
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

// lane returns the lane of the next letter. A jobId has no control characters, so it
// is no job's.
func (l *letters) lane() string {
	return "\x00" + strconv.FormatUint(l.turn.Add(1)%deadLetterLanes, 10)
}

// bury has a dead letter stored on a lane of its own. It returns at once, unless the
// letters that wait use all their room and are being stored. buried is called once
// the letter is stored; it may be nil.
func (i *Ingest) bury(ctx context.Context, letter messaging.DeadLetter, buried func()) {
	if !i.letters.take(ctx, len(letter.Body)) {
		i.metrics.lettersDropped.Inc()
		i.letters.dropLog.Do(func() {
			i.logger.Error("dead letters are dropped: the log does not store them and no more can wait", "reason", letter.Reason)
		})
		return
	}
	waits := turn{budget: i.letters.budget, sizeBytes: len(letter.Body), store: func(ctx context.Context) {
		if err := i.storeLetter(ctx, letter); err != nil {
			i.abandon(err)
		} else if buried != nil {
			buried()
		}
	}}
	if !i.lanes.add(i.letters.lane(), waits) { // An event that is stored while the lanes close.
		waits.store(ctx)
		i.letters.budget.give(waits.sizeBytes)
	}
}

// storeLetter stores a dead letter, repeating until the log takes it.
func (i *Ingest) storeLetter(ctx context.Context, letter messaging.DeadLetter) error {
	for {
		attempt, cancel := context.WithTimeout(ctx, letterTimeout)
		err := i.log.DeadLetter(attempt, letter)
		cancel()
		if failing := err != nil; ctx.Err() == nil && failing != i.letters.failing.Swap(failing) {
			if failing {
				i.logger.Error("dead letters cannot be stored; good events go on", "error", err)
			} else {
				i.logger.Info("dead letters are stored again")
			}
		}
		if err == nil {
			return nil
		}
		if err := i.pause(ctx, "store a dead letter", err); err != nil {
			return err
		}
	}
}

// Letters returns nil while dead letters are stored, and otherwise [ErrLettersFail].
func (i *Ingest) Letters() error {
	if i.letters.failing.Load() {
		return ErrLettersFail
	}
	return nil
}
