package messaging

import "time"

// Record is an event as the log keeps it.
//
// A record with a zero Sequence is not in the log: it has not been appended yet, or
// it is a document in MongoDB that an older program wrote.
type Record struct {
	Position

	JobID string
	Kind  Kind

	// ID is the producer's idempotency key, empty when the envelope had none.
	ID string
	// MessageID is the id by which the log recognizes duplicates: the ID or, without
	// an ID, a hash that the gateway derives from the payload.
	MessageID string
	// EmittedAt is the envelope's emittedAt as it was written, or the time at
	// which the gateway received the event, in [TimeLayout].
	EmittedAt string
	// TraceParent is the W3C trace context of the publisher, empty when absent.
	TraceParent string
	// StoredAt is when the log stored the record, zero before that.
	StoredAt time.Time
	// ReplayOf is the position of the record that an operator's replay repeated
	// with this one; zero for every other record.
	ReplayOf Position
	// Redelivered is set if the log has delivered the record to the same consumer
	// before: its reader may have applied it.
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

// Live is a record that the log delivers to the followers of its job.
type Live struct {
	Record
	// Previous is the sequence of the record before this one in the same job, zero
	// for the first record of the job. A follower whose last sequence is another one
	// has missed records, and reads the range between the two from the log.
	Previous uint64
}

// Disruption is why followers of the log may have missed records, where no later
// record shows it.
type Disruption string

const (
	// DisruptionReconnect: the connection to the log was interrupted.
	DisruptionReconnect Disruption = "reconnect"
	// DisruptionOverflow: a queue was full because its reader is slow, and records
	// were dropped.
	DisruptionOverflow Disruption = "overflow"
	// DisruptionEpoch: the log has begun a new epoch.
	DisruptionEpoch Disruption = "epoch"
)

// TimeLayout is the layout of the times that this service writes: RFC 3339 in UTC
// with milliseconds, as JavaScript's Date.prototype.toISOString writes them.
const TimeLayout = "2006-01-02T15:04:05.000Z"

// FormatTime returns t in [TimeLayout].
func FormatTime(t time.Time) string { return t.UTC().Format(TimeLayout) }
