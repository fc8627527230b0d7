package messaging

import (
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"
)

const (
	// MaxIDBytes is the maximum length of the id of an envelope.
	MaxIDBytes = 128
	// maxDepth is the maximum nesting of an envelope, which is level 1 itself: MongoDB
	// stores at most 100 levels, and the document around an envelope has some of them.
	maxDepth = 90
)

// Decode reads and validates one envelope of at most maxBytes.
//
// The error is always a *[Rejection], with the reason of the first of these checks
// that fails:
//
//	too-large            more than maxBytes
//	invalid-json         not UTF-8, not one JSON object, or something after it
//	unsupported-version  version is a whole number above [Version]
//	unknown-kind         kind is a string that the catalogue does not have
//	schema-violation     anything else: the detail names the field and what is allowed
//
// Field names are case-sensitive, so "JobID" is an unknown field. If a name occurs twice,
// the later value is used, here and in every payload. A traceparent that is not a W3C trace
// context is ignored: an event is not refused because of its trace.
//
// The envelope keeps raw and slices of it: the caller must not change raw
// afterwards. Decode may be called concurrently.
func (c *Catalogue) Decode(raw []byte, maxBytes int) (Envelope, error) {
	if len(raw) > maxBytes {
		return Envelope{}, reject(ReasonTooLarge, "%d bytes: at most %d are allowed", len(raw), maxBytes)
	}
	if !utf8.Valid(raw) {
		return Envelope{}, reject(ReasonInvalidJSON, "must be UTF-8")
	}
	fields, depth, err := readFields(raw)
	if err != nil {
		return Envelope{}, err
	}
	if err := checkVersion(fields.version); err != nil {
		return Envelope{}, err
	}
	entry, err := c.find(fields.kind)
	if err != nil {
		return Envelope{}, err
	}
	if depth > maxDepth {
		return Envelope{}, reject(ReasonSchemaViolation, "nested %d levels deep: at most %d are allowed", depth, maxDepth)
	}
	envelope := Envelope{
		Version:  Version,
		Kind:     entry.kind,
		Event:    fields.event,
		Snapshot: fields.snapshot,
		Raw:      raw,
	}
	if isText(fields.status) {
		envelope.Status = unquote(fields.status)
	}
	if envelope.JobID, err = decodeJobID(fields.jobID); err != nil {
		return Envelope{}, err
	}
	if envelope.ID, err = decodeID(fields.id); err != nil {
		return Envelope{}, err
	}
	if envelope.EmittedAt, err = decodeEmittedAt(fields.emittedAt); err != nil {
		return Envelope{}, err
	}
	envelope.TraceParent = decodeTraceParent(fields.traceParent)

	if entry.shape != nil && entry.shape(fields) {
		return envelope, nil
	}
	if err := entry.validate(raw, envelope); err != nil {
		return Envelope{}, err
	}
	return envelope, nil
}

// validate validates a checked envelope against the schema of its kind.
func (e *entry) validate(raw []byte, envelope Envelope) error {
	instance, _ := parseValue(raw).(map[string]any)
	if envelope.TraceParent == "" {
		delete(instance, "traceparent")
	}
	if err := e.schema.Validate(instance); err != nil {
		return reject(ReasonSchemaViolation, "%s", describeViolation(err))
	}
	return nil
}

// envelopeFields are the JSON values of the fields that this package reads, nil for
// those that are absent.
type envelopeFields struct {
	version, kind, jobID       []byte
	event, status, snapshot    []byte
	id, emittedAt, traceParent []byte
}

// readFields returns the fields in raw and the depth of its nesting.
func readFields(raw []byte) (fields envelopeFields, depth int, err error) {
	reader := objectReader{data: raw}
	for key, value, ok := reader.next(); ok; key, value, ok = reader.next() {
		switch string(plainKey(key)) {
		case "version":
			fields.version = value
		case "kind":
			fields.kind = value
		case "jobId":
			fields.jobID = value
		case "event":
			fields.event = value
		case "status":
			fields.status = value
		case "snapshot":
			fields.snapshot = value
			if string(value) == "null" {
				fields.snapshot = nil
			}
		case "id":
			fields.id = value
		case "emittedAt":
			fields.emittedAt = value
		case "traceparent":
			fields.traceParent = value
		}
	}
	if offset, bad := reader.bad(); bad {
		err = reject(ReasonInvalidJSON, "must be one JSON object and nothing else: byte %d of %d", offset, len(raw))
	}
	return fields, reader.depth, err
}

func checkVersion(value []byte) error {
	if value == nil {
		return nil
	}
	// 1.0 and 1e0 are whole numbers, as in JSON Schema and JavaScript.
	version, err := strconv.ParseFloat(string(value), 64)
	tooLarge := math.IsInf(version, 1) // a valid number, although ParseFloat returns an error
	if err != nil && !tooLarge || version != math.Trunc(version) || version < 1 || !isDigit(value[0]) {
		return reject(ReasonSchemaViolation, "version: must be a whole number of 1 or more")
	}
	if version > Version {
		return reject(ReasonUnsupportedVersion, "version %.32s: at most %d is supported", value, Version)
	}
	return nil
}

func decodeJobID(value []byte) (string, error) {
	if isText(value) && isUnicode(value) {
		if jobID := unquote(value); ValidateJobID(jobID) == nil {
			return jobID, nil
		}
	}
	return "", reject(ReasonSchemaViolation, "jobId: %s", jobIDRule)
}

func decodeID(value []byte) (string, error) {
	if value == nil {
		return "", nil
	}
	if isText(value) && isUnicode(value) {
		if id := unquote(value); len(id) <= MaxIDBytes {
			return id, nil
		}
	}
	return "", reject(ReasonSchemaViolation, "id: must be a string of at most %d bytes", MaxIDBytes)
}

func decodeEmittedAt(value []byte) (string, error) {
	if value == nil {
		return "", nil
	}
	if isText(value) {
		if emittedAt := unquote(value); isRFC3339(emittedAt) {
			return emittedAt, nil
		}
	}
	return "", reject(ReasonSchemaViolation, "emittedAt: must be an RFC 3339 time, such as %s", TimeLayout)
}

// decodeTraceParent returns "" if value is not a trace context.
func decodeTraceParent(value []byte) string {
	if isText(value) {
		if traceParent := unquote(value); IsTraceParent(traceParent) {
			return traceParent
		}
	}
	return ""
}

// isText reports whether a checked value is a string.
func isText(value []byte) bool { return len(value) > 0 && value[0] == '"' }

// isUnicode reports whether a checked JSON string has no escape for half of a
// surrogate pair, such as "\ud800". That is not a character: decoders replace it
// with U+FFFD, so that different strings would become the same jobId.
func isUnicode(text []byte) bool {
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			continue
		}
		i++
		if text[i] != 'u' {
			continue
		}
		switch unit := codeUnit(text[i+1:]); {
		case 0xDC00 <= unit && unit <= 0xDFFF:
			return false
		case 0xD800 <= unit && unit <= 0xDBFF:
			rest := text[i+5:]
			if len(rest) < 7 || rest[0] != '\\' || rest[1] != 'u' {
				return false
			}
			if low := codeUnit(rest[2:]); low < 0xDC00 || low > 0xDFFF {
				return false
			}
			i += 10
		default:
			i += 4
		}
	}
	return true
}

// codeUnit returns the value of the four hexadecimal digits that text begins with.
func codeUnit(text []byte) uint64 {
	unit, _ := strconv.ParseUint(string(text[:4]), 16, 16)
	return unit
}

// reject returns the [Rejection] of an envelope.
func reject(reason Reason, format string, args ...any) error {
	return &Rejection{Reason: reason, Detail: fmt.Sprintf(format, args...)}
}
