package messaging

import "encoding/json"

// Version is the version of the protocol that this package implements.
const Version = 1

// The channels of the publish path, in Redis pub/sub.
const (
	// EventsChannel carries one [Envelope] per message, from workers to gateways.
	EventsChannel = "novel.realtime.events"
	// ReceiptsChannel carries one [Receipt] or [Refusal] per message, from gateways to
	// workers.
	ReceiptsChannel = "novel.realtime.receipts"
)

// DefaultMaxEventBytes is the default of the maximum size of an envelope.
const DefaultMaxEventBytes = 1_000_000

// Kind is the kind of an envelope; the [Catalogue] has the fields of each kind.
type Kind string

// The kinds of the built-in catalogue.
const (
	KindGeneration Kind = "generation"
	KindDomain     Kind = "domain"
	KindJobStatus  Kind = "job-status"
)

// Envelope is one event as a worker publishes it.
//
// A decoded envelope keeps the published bytes in Raw, so that fields which this
// version does not have are passed on unchanged.
type Envelope struct {
	Version int    `json:"version"`
	Kind    Kind   `json:"kind"`
	JobID   string `json:"jobId"`

	// Event is the body of the kinds generation and domain: an object with
	// non-empty type and occurredAt strings.
	Event json.RawMessage `json:"event,omitempty"`
	// Status and Snapshot are the body of the kind job-status. Snapshot is nil if
	// it is absent or null.
	Status   string          `json:"status,omitempty"`
	Snapshot json.RawMessage `json:"snapshot,omitempty"`

	// ID is the producer's idempotency key, at most 128 bytes: events of a job with
	// the same id are stored once.
	ID string `json:"id,omitempty"`
	// EmittedAt is an RFC 3339 time. If it is empty, the gateway sets it.
	EmittedAt string `json:"emittedAt,omitempty"`
	// TraceParent is a W3C trace context.
	TraceParent string `json:"traceparent,omitempty"`

	// Raw is the JSON as it was published, nil for an envelope that was constructed in
	// this process.
	Raw []byte `json:"-"`
}
