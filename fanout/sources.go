package fanout

import (
	"context"
	"encoding/json"

	"github.com/letswriteabook/realtime/messaging"
)

// Extent is what the log holds at one moment.
type Extent struct {
	Epoch string
	// First and Last are the sequences of the oldest and newest record there;
	// First is Last+1 when the log is empty.
	First, Last uint64
}

// sourcePageBytes is what the bodies of one page that is read forwards come to
// before a source may end it. A page holds at most one record more.
const sourcePageBytes = 1 << 20

// Log is what fan-out reads from the durable log. Every method may be called
// concurrently.
type Log interface {
	// Extent asks the log itself; the answer is never older than the call.
	Extent(ctx context.Context) (Extent, error)
	// LastSequence returns the job's newest sequence, 0 when it has none.
	LastSequence(ctx context.Context, jobID string) (uint64, error)
	// LastSequences does so for many jobs; those without records are absent.
	LastSequences(ctx context.Context, jobIDs []string) (map[string]uint64, error)
	// ReadAfter returns up to limit records of a job with a sequence above
	// after, ascending. It may end early once their bodies come to
	// sourcePageBytes; no record means that there are no more.
	ReadAfter(ctx context.Context, jobID string, after uint64, limit int) ([]messaging.Record, error)
	// ReadBefore returns the newest limit records of a job with a sequence
	// below before, ascending. Zero means the end of the log.
	ReadBefore(ctx context.Context, jobID string, before uint64, limit int) ([]messaging.Record, error)
}

// Tail is the live side of the log: what [Hub.Live] hears of.
type Tail interface {
	// Follow asks for a job's live records. It returns once the request has
	// reached the server.
	Follow(ctx context.Context, jobID string) error
	// Unfollow takes that back.
	Unfollow(jobID string)
}

// Projection is the history in MongoDB. Every method may be called
// concurrently.
type Projection interface {
	// Floor returns the sequence up to which every record of the log is in the
	// projection.
	Floor(ctx context.Context) (uint64, error)
	// ReadAfter may return fewer than limit records only when there are no more,
	// or when their bodies come to sourcePageBytes.
	ReadAfter(ctx context.Context, jobID string, after messaging.Position, limit int) ([]messaging.Record, error)
	ReadBefore(ctx context.Context, jobID string, before messaging.Position, limit int) ([]messaging.Record, error)
	// ReadLegacy returns the newest limit documents that older writers left
	// without a sequence, oldest first.
	ReadLegacy(ctx context.Context, jobID string, limit int) ([]messaging.Record, error)
	// Head returns the job's last known status.
	Head(ctx context.Context, jobID string) (JobHead, bool, error)
}

// JobHead is the last known status of a job.
type JobHead struct {
	Status string
	// Snapshot is JSON, or nil when there is none.
	Snapshot json.RawMessage
	// EmittedAt is when that status was emitted, in messaging.TimeLayout.
	EmittedAt string
}
