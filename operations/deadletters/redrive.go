package deadletters

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/eventstore/maintain"
	"github.com/letswriteabook/realtime/messaging"
)

// Outcome is what became of one letter.
type Outcome struct {
	Sequence uint64 `json:"sequence"`
	JobID    string `json:"jobId,omitempty"`
	// Stored is the event's sequence in the log, 0 when it was not stored;
	// Duplicate says that the log had it already.
	Stored    uint64 `json:"stored,omitempty"`
	Duplicate bool   `json:"duplicate,omitempty"`
	// Refused says why the letter stays, in words; empty for one that is stored,
	// or in a dry run would be.
	Refused string `json:"refused,omitempty"`
}

// appendTimeout bounds how long a redrive waits for the log with one letter.
const appendTimeout = 30 * time.Second

// Rules are how gateways accept events.
type Rules struct {
	Catalogue     *messaging.Catalogue
	MaxEventBytes int
}

// Redrive appends the letters that the filter lets through and today's rules
// accept, in the order in which they were refused, and removes each once the log
// has it. A letter that is refused again stays as it is. told gets each outcome, also
// that of a letter which was stored and could not be removed. In a dry run nothing is
// appended or removed.
//
// An event without a time keeps the one at which it was refused. One without an id
// gets the letter's for its identity in the log.
func Redrive(ctx context.Context, log Log, rules Rules, filter Filter, dryRun bool, told func(Outcome) error) error {
	return Each(ctx, log, filter, func(letter maintain.Letter) error {
		outcome := Outcome{Sequence: letter.Sequence, JobID: JobOf(letter.Body)}
		record, err := rules.record(letter)
		if err == nil && !dryRun {
			outcome.Stored, outcome.Duplicate, err = store(ctx, log, record, letter.Sequence)
		}
		var refused *messaging.Rejection
		switch {
		case errors.As(err, &refused), errors.Is(err, eventstore.ErrIDConflict), errors.Is(err, eventstore.ErrTooLarge):
			outcome.Refused = err.Error()
		case err != nil:
			err = fmt.Errorf("redrive letter %d: %w", letter.Sequence, err)
			if outcome.Stored == 0 {
				return err
			}
			return errors.Join(err, told(outcome))
		}
		return told(outcome)
	})
}

// record returns what the log keeps of a letter's event, or why it is no event.
func (r Rules) record(letter maintain.Letter) (messaging.Record, error) {
	if letter.BodyBytes > len(letter.Body) {
		return messaging.Record{}, &messaging.Rejection{
			Reason: messaging.ReasonTooLarge, Detail: fmt.Sprintf("the letter has the first %d of %d bytes", len(letter.Body), letter.BodyBytes),
		}
	}
	envelope, err := r.Catalogue.Decode(letter.Body, r.MaxEventBytes)
	if err != nil {
		return messaging.Record{}, err
	}
	record := envelope.Record(letter.At)
	if record.MessageID == "" {
		// No producer's id: it has the letter's time and a hash of its bytes.
		record.MessageID = fmt.Sprintf("letter-%d-%d-%x", letter.Sequence, letter.At.UnixNano(), sha256.Sum256(letter.Body))
	}
	return record, nil
}

// store appends a letter's event and removes the letter.
func store(ctx context.Context, log Log, record messaging.Record, letter uint64) (sequence uint64, duplicate bool, err error) {
	appending, cancel := context.WithTimeout(ctx, appendTimeout)
	defer cancel()
	receipt, err := log.Append(appending, record)
	if err != nil {
		return 0, false, err
	}
	return receipt.Sequence, receipt.Duplicate, log.RemoveDeadLetter(ctx, letter)
}
