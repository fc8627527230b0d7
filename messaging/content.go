package messaging

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
)

// ContentKey identifies the content of an event, whichever program wrote the envelope.
// Two envelopes have the same key if their kinds are the same and their contents are
// equal as JSON values: the order of an object's members and the spelling of numbers
// and strings make no difference. Numbers are equal if they are equal in JavaScript. A
// member that is null equals an absent one: for a member that is undefined,
// JSON.stringify writes nothing, and the MongoDB driver for Node writes null. A null
// in an array makes a difference, because both write null there.
//
// The content of the kinds generation and domain is the event, and that of job-status
// is the status and the snapshot. For every other kind it is all fields except those
// that every envelope has.
type ContentKey [sha256.Size]byte

// KeyOfContent returns the key of an envelope. It fails if the envelope is not a JSON
// object.
func KeyOfContent(kind Kind, envelope []byte) (ContentKey, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(envelope, &fields); err != nil || fields == nil {
		return ContentKey{}, fmt.Errorf("read the content of a %s envelope: not a JSON object", kind)
	}
	var names []string
	switch kind {
	case KindGeneration, KindDomain:
		names = []string{"event"}
	case KindJobStatus:
		names = []string{"snapshot", "status"}
	default:
		for _, common := range []string{"version", "id", "jobId", "kind", "emittedAt", "traceparent"} {
			delete(fields, common)
		}
		names = slices.Sorted(maps.Keys(fields))
	}
	contents := make(map[string]any, len(names))
	for _, name := range names {
		value, found := fields[name]
		if !found {
			continue
		}
		decoder := json.NewDecoder(bytes.NewReader(value))
		decoder.UseNumber()
		var content any
		if err := decoder.Decode(&content); err != nil {
			return ContentKey{}, fmt.Errorf("read %q of a %s envelope: %w", name, kind, err)
		}
		contents[name] = content
	}
	return sha256.Sum256(appendCanonical(append([]byte(kind), 0), contents)), nil
}

// appendCanonical appends a value in a form that is the same for all its spellings.
func appendCanonical(dst []byte, value any) []byte {
	switch value := value.(type) {
	case nil:
		return append(dst, "null"...)
	case bool:
		return strconv.AppendBool(dst, value)
	case json.Number:
		number, _ := value.Float64() // an infinity if it is out of range
		if math.IsInf(number, 0) {
			return append(dst, "null"...) // what JSON.stringify writes for it
		}
		return strconv.AppendFloat(dst, number+0, 'g', -1, 64) // + 0 turns -0 into 0
	case string:
		return strconv.AppendQuote(dst, value)
	case []any:
		dst = append(dst, '[')
		for _, element := range value {
			dst = append(appendCanonical(dst, element), ',')
		}
		return append(dst, ']')
	case map[string]any:
		dst = append(dst, '{')
		for _, name := range slices.Sorted(maps.Keys(value)) {
			start := len(dst)
			dst = append(strconv.AppendQuote(dst, name), ':')
			member := len(dst)
			if dst = appendCanonical(dst, value[name]); string(dst[member:]) == "null" {
				dst = dst[:start]
				continue
			}
			dst = append(dst, ',')
		}
		return append(dst, '}')
	}
	return dst
}
