package messaging

// IsTraceParent reports whether s is a traceparent header of W3C Trace Context
// (Recommendation of 23 November 2021, section 3.2), in lower case:
//
//	version "-" trace-id "-" parent-id "-" trace-flags
//	   00        32 hex       16 hex         2 hex
//
// Later versions than 00 may append "-" and further fields.
func IsTraceParent(s string) bool {
	const length = 55
	if len(s) < length || s[2] != '-' || s[35] != '-' || s[52] != '-' {
		return false
	}
	version, traceID, parentID, flags := s[:2], s[3:35], s[36:52], s[53:length]
	if !isLowerHex(version) || !isLowerHex(traceID) || !isLowerHex(parentID) || !isLowerHex(flags) {
		return false
	}
	if version == "ff" || isZeros(traceID) || isZeros(parentID) {
		return false
	}
	if version == "00" {
		return len(s) == length
	}
	return len(s) == length || s[length] == '-' && len(s) <= maxTraceParentBytes && isGraphic(s[length:])
}

// TraceIDs returns the ids of the trace and of the span in a W3C trace context. Both are
// empty if traceParent is not a trace context.
func TraceIDs(traceParent string) (traceID, spanID string) {
	if !IsTraceParent(traceParent) {
		return "", ""
	}
	return traceParent[3:35], traceParent[36:52]
}

// TraceAttrs returns the attributes of a log line about an event of a trace, as keys and
// values: trace_id and span_id, or none if traceParent is not a trace context.
func TraceAttrs(traceParent string) []any {
	traceID, spanID := TraceIDs(traceParent)
	if traceID == "" {
		return nil
	}
	return []any{"trace_id", traceID, "span_id", spanID}
}

// TraceParentOf returns the trace context in the JSON of an envelope that may be invalid, or
// "" if it has none.
func TraceParentOf(raw []byte) string {
	fields, _, err := readFields(raw)
	if err != nil {
		return ""
	}
	return decodeTraceParent(fields.traceParent)
}

// maxTraceParentBytes bounds a traceparent of a later version: it is written into a
// header of each message of the log.
const maxTraceParentBytes = 256

func isLowerHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isDigit(c) && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func isZeros(s string) bool {
	for i := range len(s) {
		if s[i] != '0' {
			return false
		}
	}
	return true
}

// isGraphic reports whether s consists of visible ASCII characters only.
func isGraphic(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
