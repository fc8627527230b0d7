package messaging

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrInvalidPosition is returned by [ParsePosition] for text that is not a
// position. A retry does not help.
var ErrInvalidPosition = errors.New("invalid position")

// Position is a position in the log: a sequence, and the epoch in which the log has
// assigned it.
//
// Sequences of different epochs are never compared: a stream that was deleted and
// re-created, or restored from a backup, begins a new epoch and may assign the same
// sequences to other events.
type Position struct {
	// Epoch is the random id of a period in which the stream assigns each sequence
	// at most once.
	Epoch string
	// Sequence is the JetStream sequence of the record, ascending over the whole
	// stream and so within each job. Zero is the position before the first record.
	Sequence uint64
}

// MaxEpochBytes bounds the epoch of a position that a client sends.
const MaxEpochBytes = 128

// String returns the position as "epoch:sequence", the form [ParsePosition] reads.
func (p Position) String() string { return string(p.Append(nil)) }

// Append appends the position in the form of [Position.String].
func (p Position) Append(dst []byte) []byte {
	return strconv.AppendUint(append(append(dst, p.Epoch...), ':'), p.Sequence, 10)
}

// ParsePosition parses "epoch:sequence", or "sequence" alone. The epoch is then empty
// and stands for the current epoch: a sequence of an earlier epoch cannot be
// recognized. ParsePosition returns [ErrInvalidPosition] for any other text.
func ParsePosition(text string) (Position, error) {
	epoch, digits, found := strings.Cut(text, ":")
	if !found {
		epoch, digits = "", text
	}
	sequence, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || len(epoch) > MaxEpochBytes {
		return Position{}, fmt.Errorf("%w %.64q: want a sequence, or epoch:sequence", ErrInvalidPosition, text)
	}
	return Position{Epoch: epoch, Sequence: sequence}, nil
}

// Span is a range of sequences of one job, from First to Last, both included.
type Span struct {
	// First is the sequence of the oldest record in the range, 0 if it has none. Last is
	// the sequence of the newest one or a later sequence, but before the next record of
	// the job.
	First, Last uint64
	// Count is the number of records in the range when they were counted.
	Count int
	// Older is set if the job has records before First.
	Older bool
}
