package messaging

import "encoding/json"

// The Socket.IO events that have no record; the [Catalogue] names those that have
// one.
const (
	EventSubscribe   = "subscribe"
	EventUnsubscribe = "unsubscribe"
	EventPing        = "ping"
	// EventRefresh has a new token, {token}, and is sent before the old one expires.
	EventRefresh      = "refresh"
	EventPong         = "pong"
	EventSubscribed   = "novel.subscribed"
	EventUnsubscribed = "novel.unsubscribed"
	EventCaughtUp     = "novel.caught-up"
	EventGap          = "novel.gap"
	EventJobStatus    = "novel.job-status"
	EventError        = "novel.error"
)

// Subscribed is the payload of novel.subscribed.
type Subscribed struct {
	JobID        string `json:"jobId"`
	SubscribedAt string `json:"subscribedAt"`
	// Epoch is the epoch of the sequences that follow, until a novel.gap has another
	// one. It is empty while it is unknown.
	Epoch string `json:"epoch,omitempty"`
}

// Unsubscribed is the payload of novel.unsubscribed.
type Unsubscribed struct {
	JobID          string `json:"jobId"`
	UnsubscribedAt string `json:"unsubscribedAt"`
}

// Pong is the payload of pong.
type Pong struct {
	// Timestamp is in milliseconds since the Unix epoch.
	Timestamp int64 `json:"timestamp"`
}

// Source is where the events of a catch-up were read from.
type Source string

// The sources of a catch-up, nearest first. A catch-up from several sources has
// the farthest of them.
const (
	// SourceNone: nothing was replayed.
	SourceNone Source = "none"
	// SourceMemory: the hub's ring of recent events, or its cache of pages of history.
	SourceMemory Source = "memory"
	// SourceMongoDB: the history projection.
	SourceMongoDB Source = "mongodb"
	// SourceLog: the JetStream log.
	SourceLog Source = "log"
	// SourceAggregate: one synthetic status from the job's last known state.
	SourceAggregate Source = "aggregate"
)

// CaughtUp is the payload of novel.caught-up, which ends a catch-up: the events
// after it are live.
type CaughtUp struct {
	JobID string `json:"jobId"`
	// From is the sequence after which the replay began, and To the sequence with
	// which it ended: the client has all events of the job in (From, To].
	From uint64 `json:"from"`
	To   uint64 `json:"to"`
	// Replayed counts the events sent.
	Replayed int    `json:"replayed"`
	Source   Source `json:"source"`
	// Position is To with its epoch, in the form of [Position.String]: the client
	// resumes there after an interruption. It is empty while the epoch is unknown.
	Position string `json:"position,omitempty"`
}

// GapReason says why history is missing.
type GapReason string

// The reasons of a gap.
const (
	// GapRetention: the log removed the range because of its limits.
	GapRetention GapReason = "retention"
	// GapEpoch: the sequence is of an earlier epoch of the log.
	GapEpoch GapReason = "epoch-changed"
	// GapErased: the range was erased permanently. A client deletes what it has of it.
	GapErased GapReason = "erased"
)

// Gap is the payload of novel.gap: the events between Requested and FirstAvailable
// are no longer available.
type Gap struct {
	JobID          string    `json:"jobId"`
	Requested      uint64    `json:"requested"`
	FirstAvailable uint64    `json:"firstAvailable"`
	Reason         GapReason `json:"reason"`
	// Epoch is the epoch of FirstAvailable.
	Epoch string `json:"epoch,omitempty"`
}

// JobStatus is the payload of the synthetic novel.job-status, which is sent in
// place of a history that does not exist.
type JobStatus struct {
	JobID     string          `json:"jobId"`
	EmittedAt string          `json:"emittedAt"`
	Status    string          `json:"status"`
	Snapshot  json.RawMessage `json:"snapshot"`
}
