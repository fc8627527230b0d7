package deadletters

import (
	"context"
	"errors"
	"math"

	"github.com/letswriteabook/realtime/eventstore/maintain"
	"github.com/letswriteabook/realtime/messaging"
)

// purgeLetters is how many letters are chosen before they are removed.
const purgeLetters = 10_000

// errEnough ends the look at letters once the limit of the filter is reached.
var errEnough = errors.New("the limit is reached")

// Purge removes the letters that the filter lets through, and returns how many
// that were, or in a dry run would be. told, if any, gets the number so far.
//
// As long as the filter lets all letters of a reason through, from the oldest on, they are
// removed with one request for thousands of them; others one by one.
func Purge(ctx context.Context, log Log, filter Filter, dryRun bool, told func(count int)) (count int, err error) {
	if told == nil {
		told = func(int) {}
	}
	if dryRun {
		err = Each(ctx, log, filter, func(maintain.Letter) error {
			count++
			told(count)
			return nil
		})
		return count, err
	}
	chosen := newSelection(filter)
	flush := func() error {
		removed, err := chosen.remove(ctx, log)
		if count += removed; removed > 0 {
			told(count)
		}
		return err
	}
	// Every letter is looked at: one that stays ends what can be purged of its reason.
	everything := Filter{Sequences: filter.Sequences}
	err = Each(ctx, log, everything, func(letter maintain.Letter) error {
		if done := chosen.look(letter); done {
			return errEnough
		}
		if chosen.count < purgeLetters {
			return nil
		}
		return flush()
	})
	if err != nil && !errors.Is(err, errEnough) {
		return count, err
	}
	return count, flush()
}

// selection is what is to be removed next.
type selection struct {
	filter Filter
	left   int // letters that the filter's limit still lets through
	count  int
	// before has, by reason, the sequence below which every letter goes.
	before map[messaging.Reason]uint64
	// stays has the reasons of which a letter was seen that stays.
	stays map[messaging.Reason]bool
	// single are letters behind one of their reason that stays.
	single []uint64
}

func newSelection(filter Filter) *selection {
	left := filter.Limit
	if left == 0 {
		left = math.MaxInt
	}
	return &selection{filter: filter, left: left, before: map[messaging.Reason]uint64{}, stays: map[messaging.Reason]bool{}}
}

// look decides about a letter, and reports whether no more are to be looked at.
func (s *selection) look(letter maintain.Letter) (done bool) {
	if !s.filter.Lets(letter) {
		s.stays[letter.Reason] = true
		return false
	}
	// Of letters that are named, those before the first were not looked at.
	if s.stays[letter.Reason] || len(s.filter.Sequences) > 0 {
		s.single = append(s.single, letter.Sequence)
	} else {
		s.before[letter.Reason] = letter.Sequence + 1
	}
	s.count++
	s.left--
	return s.left == 0
}

// remove removes what was chosen, and returns how many letters that were.
func (s *selection) remove(ctx context.Context, log Log) (removed int, err error) {
	for reason, before := range s.before {
		count, err := log.PurgeDeadLetters(ctx, reason, before)
		if removed += int(count); err != nil {
			return removed, err
		}
		delete(s.before, reason)
	}
	if err := log.RemoveDeadLetters(ctx, s.single); err != nil {
		return removed, err
	}
	removed += len(s.single)
	s.single, s.count = nil, 0
	return removed, nil
}
