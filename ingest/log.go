package ingest

import (
	"context"

	"github.com/letswriteabook/realtime/messaging"
)

// Log is the durable log as ingest uses it. Its methods are called from many goroutines at
// once and return soon after ctx has ended.
type Log interface {
	// Append stores a record under its MessageID and returns its receipt. Duplicate in the
	// receipt means that the log already had the MessageID, at the receipt's Sequence.
	// Append retries until ctx ends, except for two errors that a retry cannot solve: one
	// that implements [Conflict], and a [*messaging.Rejection]. Both lead to a dead letter.
	Append(ctx context.Context, r messaging.Record) (messaging.Receipt, error)
	// MaxBatch returns how many records AppendBatch accepts; 0 means that it accepts none.
	MaxBatch() int
	// AppendBatch stores records in the order given, all of them or none, in one attempt.
	// The receipt of a record that the log already had says Duplicate. An error that
	// implements [BatchRefusal] means that nothing is stored. After any other error the
	// outcome is unknown until each record is appended again under its MessageID.
	AppendBatch(ctx context.Context, records []messaging.Record) ([]messaging.Receipt, error)
	// DeadLetter stores refused events in the order given, and retries until ctx ends. If its
	// error implements [UnstoredLetters], the letters that the error does not name are stored.
	DeadLetter(ctx context.Context, letters ...messaging.DeadLetter) error
	// StoreCanary stores a text that is not an event, apart from the events, in one attempt.
	StoreCanary(ctx context.Context, text string) error
	// Waits reports whether appends wait, or waited a moment ago, for room in the log or until
	// its ids are read. A restart of the gateway ends neither wait.
	Waits() bool
	// Head returns the last sequence of the whole log, 0 when it is empty.
	Head(ctx context.Context) (uint64, error)
}

// Conflict is implemented by the error of [Log.Append] for a MessageID that the log has
// with another body.
type Conflict interface {
	error
	// IDConflict reports whether the error is such a conflict.
	IDConflict() bool
}

// UnstoredLetters is implemented by the error of [Log.DeadLetter] when it stored some of the
// letters.
type UnstoredLetters interface {
	error
	// Unstored returns the indexes of the letters that are not stored, in order.
	Unstored() []int
}

// BatchRefusal is implemented by the error of [Log.AppendBatch] for a batch in which a
// record cannot be stored together with the others.
type BatchRefusal interface {
	error
	// BatchRefused reports whether the error is such a refusal.
	BatchRefused() bool
}
