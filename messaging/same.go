package messaging

import "bytes"

// SameEvent reports whether two envelopes are the same, with or without a traceparent: a
// producer that repeats an event may do so in another trace, which makes it no other event.
// Apart from that the bytes count, except for space around the names and the values.
func SameEvent(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	name := []byte(`"traceparent"`)
	return (bytes.Contains(a, name) || bytes.Contains(b, name)) && bytes.Equal(untraced(a), untraced(b))
}

// untraced returns an envelope without its traceparent and without space around the names
// and the values. It returns what is not one JSON object as it is.
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
