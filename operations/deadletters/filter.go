package deadletters

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/letswriteabook/realtime/eventstore/maintain"
	"github.com/letswriteabook/realtime/messaging"
)

// Filter chooses letters. The zero value lets every letter through.
type Filter struct {
	// Sequences are those of the letters; none means any.
	Sequences []uint64
	// Reasons are those for which letters were refused; none means any.
	Reasons []messaging.Reason
	// JobID is the job that the letter names, as far as its bytes can be read;
	// empty means any.
	JobID string
	// Since and Until bound when the letters were refused, the first included and
	// the second not; zero means without a bound.
	Since, Until time.Time
	// Limit is how many letters are let through at most; 0 means all.
	Limit int
}

// Empty reports whether everything is let through.
func (f Filter) Empty() bool {
	return len(f.Sequences) == 0 && len(f.Reasons) == 0 && f.JobID == "" && f.Since.IsZero() && f.Until.IsZero() && f.Limit == 0
}

// Validate names a reason that does not exist.
func (f Filter) Validate() error {
	known := []messaging.Reason{
		messaging.ReasonInvalidJSON, messaging.ReasonSchemaViolation, messaging.ReasonUnsupportedVersion,
		messaging.ReasonUnknownKind, messaging.ReasonTooLarge, messaging.ReasonIDConflict,
	}
	for _, reason := range f.Reasons {
		if !slices.Contains(known, reason) {
			return fmt.Errorf("reason %q: want one of %q", reason, known)
		}
	}
	return nil
}

// Lets reports whether a letter is let through, Limit apart.
func (f Filter) Lets(letter maintain.Letter) bool {
	switch {
	case len(f.Sequences) > 0 && !slices.Contains(f.Sequences, letter.Sequence):
	case len(f.Reasons) > 0 && !slices.Contains(f.Reasons, letter.Reason):
	case f.JobID != "" && f.JobID != JobOf(letter.Body):
	case !f.Since.IsZero() && letter.At.Before(f.Since):
	case !f.Until.IsZero() && !letter.At.Before(f.Until):
	default:
		return true
	}
	return false
}

// JobOf returns the jobId that an event names, empty when that cannot be read.
func JobOf(body []byte) string {
	var named struct {
		JobID string `json:"jobId"`
	}
	_ = json.Unmarshal(body, &named) // what cannot be read names none
	return named.JobID
}

// Log is where letters are kept.
type Log interface {
	Source
	// RemoveDeadLetter deletes one, and RemoveDeadLetters several; that one is gone is no
	// error.
	RemoveDeadLetter(ctx context.Context, sequence uint64) error
	RemoveDeadLetters(ctx context.Context, sequences []uint64) error
	// PurgeDeadLetters deletes those of a reason with a sequence below before, and
	// returns how many there were.
	PurgeDeadLetters(ctx context.Context, reason messaging.Reason, before uint64) (uint64, error)
	// Append stores an event, see [eventstore.Log.Append].
	Append(ctx context.Context, record messaging.Record) (messaging.Receipt, error)
}

// Source is where letters are read.
type Source interface {
	// DeadLetters returns letters with a sequence above after, oldest first, at most
	// limit; none when there are no more.
	DeadLetters(ctx context.Context, after uint64, limit int) ([]maintain.Letter, error)
}

// pageLetters is how many letters are read at once; the log bounds their bytes.
const pageLetters = 1000

// Each hands the letters that the filter lets through to take, oldest first, until
// that fails. Of letters that are named it reads from the first to the last.
func Each(ctx context.Context, log Source, filter Filter, take func(maintain.Letter) error) error {
	let, first, last := 0, uint64(1), uint64(math.MaxUint64)
	if len(filter.Sequences) > 0 {
		first, last = max(slices.Min(filter.Sequences), 1), slices.Max(filter.Sequences)
	}
	for after := first - 1; ; {
		limit := pageLetters
		if left := last - after; left < pageLetters {
			limit = int(left)
		}
		letters, err := log.DeadLetters(ctx, after, limit)
		if err != nil {
			return err
		}
		for _, letter := range letters {
			if after = letter.Sequence; after > last {
				return nil
			}
			if !filter.Lets(letter) {
				continue
			}
			if err := take(letter); err != nil {
				return err
			}
			if let++; let == filter.Limit {
				return nil
			}
		}
		if len(letters) == 0 || after >= last {
			return nil
		}
	}
}
