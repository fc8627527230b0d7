package messaging

import "encoding/json"

// Version is the protocol version this service speaks and helpers fill in.
const Version = 1

// The channels of the publish path, in Redis pub/sub.
const (
	// EventsChannel carries one envelope a message, from workers to gateways.
	EventsChannel = "novel.realtime.events"
	// ReceiptsChannel carries one [Receipt] a message, from gateways to workers.
	ReceiptsChannel = "novel.realtime.receipts"
)

// DefaultMaxEventBytes is the largest envelope that is accepted by default.
const DefaultMaxEventBytes = 1_000_000

// Kind discriminates envelopes; the [Catalogue] says what each one carries.
type Kind string

// The kinds of the built-in catalogue.
const (
	KindGeneration Kind = "generation"
	KindDomain     Kind = "domain"
	KindJobStatus  Kind = "job-status"
)

// Envelope is one event as a worker publishes it.
//
// A decoded envelope keeps the published bytes in Raw, so that fields this
// version does not know travel on unchanged.
type Envelope struct {
	Version int    `json:"version"`
	Kind    Kind   `json:"kind"`
	JobID   string `json:"jobId"`

	// Event is the body of the kinds generation and domain: an object with
	// non-empty type and occurredAt strings.
	Event json.RawMessage `json:"event,omitempty"`
	// Status and Snapshot are the body of the kind job-status. A snapshot of
	// null is as good as none, and then nil.
	Status   string          `json:"status,omitempty"`
	Snapshot json.RawMessage `json:"snapshot,omitempty"`

	// ID is the producer's idempotency key, at most 128 bytes: the same id is
	// stored once.
	ID string `json:"id,omitempty"`
	// EmittedAt is an RFC 3339 time; empty means that the gateway stamps it.
	EmittedAt string `json:"emittedAt,omitempty"`
	// TraceParent is a W3C trace context.
	TraceParent string `json:"traceparent,omitempty"`

	// Raw is the envelope's JSON as it was published; nil for one that was
	// constructed here.
	Raw []byte `json:"-"`
}
