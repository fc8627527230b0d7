package hub

import (
	"context"
	"errors"

	"github.com/letswriteabook/realtime/messaging"
)

// ErrLog is returned by [Projection.FindLegacy] when the log does not answer. It says
// nothing about MongoDB. A later retry helps.
var ErrLog = errors.New("the log does not answer")

// sourcePageBytes is the size of bodies at which a source ends a page. The record that
// reaches the size is the page's last, or, read backwards, its first.
const sourcePageBytes = 1 << 20

// Log is the durable log as the hub reads it. Every method may be called concurrently.
type Log interface {
	// Extent asks the log itself; the answer is never older than the call.
	Extent(ctx context.Context) (messaging.Extent, error)
	// LastSequence returns the job's newest sequence, 0 when it has none.
	LastSequence(ctx context.Context, jobID string) (uint64, error)
	// LastSequenceFrom is LastSequence for a caller that knows of a record of the job that
	// the log has, or had. It reads no record if there is no newer one.
	LastSequenceFrom(ctx context.Context, jobID string, known uint64) (uint64, error)
	// LastSequences returns the newest sequences of jobs; those without records are absent.
	LastSequences(ctx context.Context, jobIDs []string) (map[string]uint64, error)
	// ReadAfter returns up to limit records of a job with a sequence above after,
	// ascending. It ends early once their bodies reach sourcePageBytes. No record means
	// that there are no more.
	ReadAfter(ctx context.Context, jobID string, after uint64, limit int) ([]messaging.Record, error)
	// Locate returns where the newest limit records of a job with a sequence below before
	// lie, without reading their bodies; math.MaxUint64 means the end of the log.
	Locate(ctx context.Context, jobID string, before uint64, limit int) (messaging.Span, error)
}

// Tail is the live side of the log, which calls [Hub.Live].
type Tail interface {
	// Follow requests a job's live records. It returns once the request has reached the
	// server.
	Follow(ctx context.Context, jobID string) error
	// Unfollow ends them.
	Unfollow(jobID string)
}

// Projection is the history in MongoDB. Every method may be called
// concurrently.
type Projection interface {
	// Floor returns the sequence up to which every record of the log is in the
	// projection.
	Floor(ctx context.Context) (uint64, error)
	// ReadAfter returns fewer than limit records only when there are no more, or when
	// their bodies reach sourcePageBytes.
	ReadAfter(ctx context.Context, jobID string, after messaging.Position, limit int) ([]messaging.Record, error)
	// ReadBefore returns the newest records below a position, ascending. When their
	// bodies reach sourcePageBytes, it leaves out older ones.
	ReadBefore(ctx context.Context, jobID string, before messaging.Position, limit int) ([]messaging.Record, error)
	// Locate is as in [Log].
	Locate(ctx context.Context, jobID string, before messaging.Position, limit int) (messaging.Span, error)
	// FindLegacy names the newest limit documents of older writers, which have no
	// sequence, oldest first. It leaves out those of events that the log has, and fails
	// with [ErrLog] when the log does not say which.
	FindLegacy(ctx context.Context, jobID string, limit int) (names []string, err error)
	// ReadLegacy returns the events of the first of these documents, in the order of the
	// names, and how many names these are, at least one. It ends early once their bodies
	// reach sourcePageBytes.
	ReadLegacy(ctx context.Context, jobID string, names []string) (records []messaging.Record, taken int, err error)
	// Head returns the job's last known status.
	Head(ctx context.Context, jobID string) (messaging.JobHead, bool, error)
}
