package messaging

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"time"
)

// NewGeneration returns an envelope of the kind generation. The event must
// marshal to a JSON object with non-empty type and occurredAt strings. The error
// is that of marshalling, or wraps a *[Rejection] that says what is wrong with
// the event or the jobId.
//
// ID, EmittedAt and TraceParent may be set on the result before it is encoded.
func NewGeneration(jobID string, event any) (Envelope, error) {
	return newEvent(KindGeneration, jobID, event)
}

// NewDomain returns an envelope of the kind domain. The requirements of the event
// and the errors are those of [NewGeneration].
func NewDomain(jobID string, event any) (Envelope, error) {
	return newEvent(KindDomain, jobID, event)
}

// NewJobStatus returns an envelope of the kind job-status. The status is queued,
// running, completed or failed; the snapshot must marshal to a JSON object, or is
// nil for none. The errors are those of [NewGeneration].
func NewJobStatus(jobID, status string, snapshot any) (Envelope, error) {
	envelope := Envelope{Version: Version, Kind: KindJobStatus, JobID: jobID, Status: status}
	if snapshot != nil {
		text, err := marshal(snapshot)
		if err != nil {
			return Envelope{}, fmt.Errorf("marshal snapshot: %w", err)
		}
		envelope.Snapshot = text
	}
	return validated(envelope)
}

func newEvent(kind Kind, jobID string, event any) (Envelope, error) {
	text, err := marshal(event)
	if err != nil {
		return Envelope{}, fmt.Errorf("marshal event: %w", err)
	}
	return validated(Envelope{Version: Version, Kind: kind, JobID: jobID, Event: text})
}

// validated returns the envelope if a gateway would accept it. It does not check the
// size, because the limit of a gateway is a setting.
func validated(envelope Envelope) (Envelope, error) {
	if ValidateJobID(envelope.JobID) != nil {
		// Decode cannot find invalid UTF-8 in a jobId, because Encode replaces it.
		err := reject(ReasonSchemaViolation, "jobId: %s", jobIDRule)
		return Envelope{}, fmt.Errorf("new %s envelope: %w", envelope.Kind, err)
	}
	text, err := envelope.Encode()
	if err != nil {
		return Envelope{}, err
	}
	if _, err := DefaultCatalogue().Decode(text, math.MaxInt); err != nil {
		return Envelope{}, fmt.Errorf("new %s envelope: %w", envelope.Kind, err)
	}
	return envelope, nil
}

// Encode returns the JSON of the envelope: Raw if it is set, so that a decoded
// envelope keeps its bytes, else the JSON of the fields. A caller that changes a
// field of a decoded envelope must set Raw to nil, which drops the fields that
// [Envelope] does not have.
//
// It fails only when Event or Snapshot is not JSON.
func (e Envelope) Encode() ([]byte, error) {
	if e.Raw != nil {
		return e.Raw, nil
	}
	text, err := marshal(e)
	if err != nil {
		return nil, fmt.Errorf("encode %s envelope: %w", e.Kind, err)
	}
	return text, nil
}

// Record returns the record of the envelope, as the log keeps it. If the envelope
// has no EmittedAt, the record's is now. The MessageID is the ID; without an ID it
// is empty, and the caller derives it before it appends the record. The Body is
// what [Envelope.Encode] returns, or nil if that fails, which it never does for an
// envelope that this package has decoded or constructed.
func (e Envelope) Record(now time.Time) Record {
	emittedAt := e.EmittedAt
	if emittedAt == "" {
		emittedAt = FormatTime(now)
	}
	body, err := e.Encode()
	if err != nil {
		body = nil
	}
	return Record{
		JobID:       e.JobID,
		Kind:        e.Kind,
		ID:          e.ID,
		MessageID:   e.ID,
		EmittedAt:   emittedAt,
		TraceParent: e.TraceParent,
		Body:        body,
	}
}

// marshal is json.Marshal without the escapes that only HTML needs.
func marshal(v any) ([]byte, error) {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buffer.Bytes(), []byte{'\n'}), nil
}
