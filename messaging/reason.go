package messaging

import (
	"fmt"
	"time"
)

// Reason is why an event was refused. It is the label of the dead-letter counter and
// a header of the dead letter.
type Reason string

// The reasons of refusals.
const (
	// ReasonInvalidJSON: the bytes are not one JSON object in UTF-8.
	ReasonInvalidJSON Reason = "invalid-json"
	// ReasonSchemaViolation: the object does not match the schema of its kind.
	ReasonSchemaViolation Reason = "schema-violation"
	// ReasonUnsupportedVersion: the envelope is of a newer protocol version.
	ReasonUnsupportedVersion Reason = "unsupported-version"
	// ReasonUnknownKind: the kind is not in the catalogue.
	ReasonUnknownKind Reason = "unknown-kind"
	// ReasonTooLarge: the envelope is larger than MAX_EVENT_BYTES.
	ReasonTooLarge Reason = "too-large"
	// ReasonIDConflict: the log has the id in the same job, with another body.
	ReasonIDConflict Reason = "id-conflict"
)

// Rejection is the error for an event that can never be accepted as it is. A retry
// with the same bytes does not help.
type Rejection struct {
	Reason Reason
	// Detail names the field and what is allowed, for people.
	Detail string
}

// Error returns the reason and the detail.
func (r *Rejection) Error() string { return fmt.Sprintf("%s: %s", r.Reason, r.Detail) }

// DeadLetter is an event that was refused. It is kept with its raw bytes, so that it
// can be corrected and sent again.
type DeadLetter struct {
	Reason Reason
	Detail string
	// Source is where the event came from, such as "redis:novel.realtime.events".
	Source string
	At     time.Time
	Body   []byte
}
