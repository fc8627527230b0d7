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
	// MaxBatch returns how many records AppendBatch takes; 0 where it takes none.
	MaxBatch() int
	// AppendBatch stores records in the order given, all of them or none, in one
	// attempt. The receipt of one that was there already says Duplicate. An error that
	// implements [BatchRefusal] says that nothing is stored; after any other one the
	// outcome is unknown until each record is appended again under its MessageID.
	AppendBatch(ctx context.Context, records []messaging.Record) ([]messaging.Receipt, error)
	// DeadLetter stores a refused event.
	DeadLetter(ctx context.Context, d messaging.DeadLetter) error
	// StoreCanary stores a text that is no event, beside the events, in one attempt.
	StoreCanary(ctx context.Context, text string) error
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

// BatchRefusal is implemented by the error of [Log.AppendBatch] for a batch of which one
// record cannot be stored with the others.
type BatchRefusal interface {
	error
	// BatchRefused reports whether the error is such a refusal.
	BatchRefused() bool
}
