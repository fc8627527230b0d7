package messaging

import "time"

// Record is one event as the log holds it.
//
// The zero Sequence marks a record that is not in the log: one that has not
// been appended yet, or a document that an older writer left in MongoDB.
type Record struct {
	Position

	JobID string
	Kind  Kind

	// ID is the producer's idempotency key, empty when the envelope had none.
	ID string
	// MessageID is the identity the log deduplicates by: the ID, or, without
	// one, a hash that the gateway derives from the payload.
	MessageID string
	// EmittedAt is the envelope's emittedAt as it was written, or the time at
	// which the gateway received the event, in [TimeLayout].
	EmittedAt string
	// TraceParent is the W3C trace context of the publisher, empty when absent.
	TraceParent string
	// StoredAt is when the log took the record; zero before that.
	StoredAt time.Time
	// ReplayOf is the position of the record that an operator's replay repeated
	// with this one; zero for every other record.
	ReplayOf Position
	// Redelivered is set where the log hands a consumer a record that it had handed out
	// before: a reader may have applied it.
	Redelivered bool

	// Body is the envelope's JSON exactly as it was published. It is shared
	// between readers and must not be changed.
	Body []byte
}

// Extent is the part of the log that can be read at one moment.
type Extent struct {
	// Epoch is the current epoch of the log.
	Epoch string
	// First is the oldest sequence that can be read; in an empty log it is Last+1.
	First uint64
	// Last is the newest sequence that the log has assigned, 0 if it has assigned none.
	Last uint64
}

// Live is a record on its way from the log to its followers.
type Live struct {
	Record
	// Previous is the sequence of the record before this one in the same job,
	// zero when this is the job's first. A follower whose last sequence is
	// another has missed something and reads the range between from the log.
	Previous uint64
}

// Disruption says why followers of the log may have missed records without a
// later one to tell.
type Disruption string

const (
	// DisruptionReconnect: the connection to the log was away.
	DisruptionReconnect Disruption = "reconnect"
	// DisruptionOverflow: a queue was full because its reader is slow, and records
	// were dropped.
	DisruptionOverflow Disruption = "overflow"
	// DisruptionEpoch: the log has begun a new life.
	DisruptionEpoch Disruption = "epoch"
)

// TimeLayout is how this service writes times: RFC 3339 in UTC with
// milliseconds, as JavaScript's Date.prototype.toISOString does.
const TimeLayout = "2006-01-02T15:04:05.000Z"

// FormatTime writes t in [TimeLayout].
func FormatTime(t time.Time) string { return t.UTC().Format(TimeLayout) }
