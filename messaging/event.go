package messaging

import "encoding/json"

// The Socket.IO events that do not carry a record; those that do are named by
// the [Catalogue].
const (
	EventSubscribe   = "subscribe"
	EventUnsubscribe = "unsubscribe"
	EventPing        = "ping"
	// EventRefresh brings a new token, {token}, before the old one expires.
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
	// Epoch is the life of the log in which the sequences of what follows count, until
	// a novel.gap names another. It is empty while it is not known.
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

// Source names where a catch-up was served from.
type Source string

// The sources of a catch-up, nearest first. A catch-up that used several names
// the one furthest away.
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

// CaughtUp is the payload of novel.caught-up, the end of a catch-up: what
// follows it is live.
type CaughtUp struct {
	JobID string `json:"jobId"`
	// From is the sequence after which the replay began, To the one it ended
	// with: the client has everything of the job in (From, To].
	From uint64 `json:"from"`
	To   uint64 `json:"to"`
	// Replayed counts the events sent.
	Replayed int    `json:"replayed"`
	Source   Source `json:"source"`
	// Position is To with its epoch, as [Position.String] has it: from where the
	// client resumes after a break. It is empty while the epoch is not known.
	Position string `json:"position,omitempty"`
}

// GapReason says why history is missing.
type GapReason string

// The reasons of a gap.
const (
	// GapRetention: the log's limits have removed the range.
	GapRetention GapReason = "retention"
	// GapEpoch: the sequence was given out by an earlier life of the log.
	GapEpoch GapReason = "epoch-changed"
	// GapErased: the range was erased for good. A client forgets what it has of it.
	GapErased GapReason = "erased"
)

// Gap is the payload of novel.gap: events between Requested and FirstAvailable
// can no longer be had.
type Gap struct {
	JobID          string    `json:"jobId"`
	Requested      uint64    `json:"requested"`
	FirstAvailable uint64    `json:"firstAvailable"`
	Reason         GapReason `json:"reason"`
	// Epoch is the life of the log in which FirstAvailable counts.
	Epoch string `json:"epoch,omitempty"`
}

// JobStatus is the payload of the synthetic novel.job-status that stands in for
// a history that is not there.
type JobStatus struct {
	JobID     string          `json:"jobId"`
	EmittedAt string          `json:"emittedAt"`
	Status    string          `json:"status"`
	Snapshot  json.RawMessage `json:"snapshot"`
}
