package gateway

import "bytes"

// escapeSeparators escapes U+2028 and U+2029 in JSON text for HTTP: many parsers of event
// streams, and JavaScript before 2019, treat both as line breaks. In JSON they occur only
// in strings.
func escapeSeparators(text []byte) []byte {
	if bytes.Contains(text, []byte("\u2028")) {
		text = bytes.ReplaceAll(text, []byte("\u2028"), []byte(`\u2028`))
	}
	if bytes.Contains(text, []byte("\u2029")) {
		text = bytes.ReplaceAll(text, []byte("\u2029"), []byte(`\u2029`))
	}
	return text
}
