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

// Position is a place in the log: a sequence, and the epoch in which that
// sequence was given out.
//
// Sequences of different epochs are never compared: a stream that was deleted
// and made again, or restored from a backup, starts a new epoch and may give
// out the same sequences to other events.
type Position struct {
	// Epoch is the random id of one life of the stream.
	Epoch string
	// Sequence is the JetStream sequence of the record, ascending over the
	// whole stream and so per job too. Zero means "before the first".
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

// ParsePosition reads "epoch:sequence", or a bare "sequence", whose epoch is
// then empty and means whichever epoch is current: it counts in the present life of
// the log only, and one of an earlier life cannot be told from it.
// It returns [ErrInvalidPosition] for anything else.
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

// Span is where records of one job lie: those with a sequence from First to Last,
// both included.
type Span struct {
	// First is the sequence of the oldest of them, 0 when there are none. Last is
	// the sequence of the newest, or one after it and before the next.
	First, Last uint64
	// Count is how many there were when they were counted.
	Count int
	// Older is set when the job has records before First.
	Older bool
}
