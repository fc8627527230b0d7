package messaging

import "bytes"

// SameEvent reports whether two envelopes are the same event. It ignores the traceparent,
// because a producer may repeat an event in another trace, and white space around names and
// values. All other bytes must be equal.
func SameEvent(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	name := []byte(`"traceparent"`)
	return (bytes.Contains(a, name) || bytes.Contains(b, name)) && bytes.Equal(untraced(a), untraced(b))
}

// untraced returns an envelope without its traceparent and without white space around names
// and values. It returns raw if that is not one JSON object.
func untraced(raw []byte) []byte {
	reader := objectReader{data: raw}
	rest := make([]byte, 0, len(raw)+1)
	for key, value, ok := reader.next(); ok; key, value, ok = reader.next() {
		if string(plainKey(key)) != "traceparent" {
			rest = append(append(append(append(rest, ','), key...), ':'), value...)
		}
	}
	if _, bad := reader.bad(); bad {
		return raw
	}
	return rest
}
