package ingest

import (
	"context"

	"github.com/letswriteabook/realtime/messaging"
)

// Log is the durable log, as far as ingest needs it. Its methods are called
// from many goroutines at once and return soon after ctx has ended.
type Log interface {
	// Append stores a record under its MessageID and returns where it is.
	// Duplicate in the receipt says that the MessageID was there already, at the
	// receipt's Sequence. Append retries by itself until ctx ends, except for
	// two errors that a retry cannot mend: one that implements [Conflict], and a
	// [*messaging.Rejection]; both end as a dead letter.
	Append(ctx context.Context, r messaging.Record) (messaging.Receipt, error)
	// DeadLetter stores a refused event.
	DeadLetter(ctx context.Context, d messaging.DeadLetter) error
	// Head returns the last sequence of the whole log, 0 when it is empty.
	Head(ctx context.Context) (uint64, error)
}

// Conflict is implemented by the error of [Log.Append] for a MessageID that is
// in the log with another body.
type Conflict interface {
	error
	// IDConflict reports whether the error is such a conflict.
	IDConflict() bool
}
