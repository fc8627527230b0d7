package eventstore

import (
	"errors"

	"github.com/letswriteabook/realtime/eventstore/internal/jet"
	"github.com/letswriteabook/realtime/eventstore/internal/layout"
)

var (
	// ErrIDConflict is returned by [Log.Append] when the log has another record
	// under the same id: another body, or another job. A retry does not help.
	// Its type also has the method IDConflict() bool, so that packages that do
	// not know this one can recognise it through errors.As.
	ErrIDConflict error = idConflictError{}

	// ErrTooLarge is returned by [Log.Append] when the server does not take
	// messages of that size. A retry does not help.
	ErrTooLarge = errors.New("record is larger than the NATS server accepts")

	// ErrInvalidJobID is returned when a jobId cannot be a subject: it is empty
	// or longer than the contract allows. A retry does not help.
	ErrInvalidJobID = layout.ErrInvalidJobID

	// ErrInvalidRecord is returned by [Log.Append] for a record without a kind or
	// a message id, and by [Log.DeadLetter] for one without a reason. A retry does
	// not help.
	ErrInvalidRecord = errors.New("invalid record")

	// ErrUnavailable is returned by reads when the log cannot be reached or has
	// no leader now. A retry helps once it is back.
	ErrUnavailable = jet.ErrUnavailable

	// ErrIncomplete is returned by reads whose answer was cut short on the way.
	// A retry helps.
	ErrIncomplete = jet.ErrIncomplete

	// ErrNoConsumer is returned by [Log.ConsumerFloor] and [Log.ConsumerState]
	// when no [Log.Consume] of that name has ever run on this stream.
	ErrNoConsumer = errors.New("no such consumer")

	// errOldServer is returned by [Open] when the NATS server cannot answer ranged
	// reads. A retry does not help.
	errOldServer = errors.New("NATS server 2.11 or later is needed")

	// ErrConnect is returned by [Connect] when the server cannot be reached or
	// refuses the connection.
	ErrConnect = errors.New("cannot connect to NATS")

	// ErrNoStream is returned by [Attach] and [Head] when the server has no
	// such stream. A retry helps once a gateway has made it.
	ErrNoStream = jet.ErrNoStream

	// ErrRestoring is returned while the log is being restored, or was left half
	// restored by an interruption: what is there is not the log. A retry helps once
	// the restore is complete; an interrupted one has to be repeated, or undone.
	ErrRestoring = jet.ErrRestoring

	// ErrTailRunning is returned by [Tail.Run] when it is called a second time.
	ErrTailRunning = errors.New("tail runs already, or has run")
)

type idConflictError struct{}

func (idConflictError) Error() string { return "id is in the log already, with another body" }

// IDConflict marks the error for those who cannot import this package.
func (idConflictError) IDConflict() bool { return true }
