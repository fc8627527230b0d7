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

// NewDomain returns an envelope of the kind domain. What [NewGeneration] says of
// the event and of errors holds here too.
func NewDomain(jobID string, event any) (Envelope, error) {
	return newEvent(KindDomain, jobID, event)
}

// NewJobStatus returns an envelope of the kind job-status. The status is queued,
// running, completed or failed; the snapshot must marshal to a JSON object, and
// nil leaves it out. What [NewGeneration] says of errors holds here too.
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

// validated returns the envelope if a gateway would accept it. Its size is left
// to the gateway, whose limit is a setting.
func validated(envelope Envelope) (Envelope, error) {
	if ValidateJobID(envelope.JobID) != nil {
		// Checked here too, because encoding mends bytes that are not UTF-8.
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

// Encode returns the envelope's JSON: Raw when there is one, so that a decoded
// envelope goes out as it came in, else the JSON of the fields. A caller that
// changes a field of a decoded envelope sets Raw to nil first, and loses the
// fields that [Envelope] does not name.
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

// Record returns what the log keeps of the envelope; now is its EmittedAt where
// the envelope has none. The MessageID is the ID, and empty without one: who
// appends the record derives it then. The Body is what [Envelope.Encode]
// returns, and nil where that fails, which it never does for an envelope that
// was decoded or constructed by this package.
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
