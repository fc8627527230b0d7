package gateway

import "bytes"

// escapeSeparators escapes U+2028 and U+2029 in JSON text for HTTP: both end a line
// for many parsers of event streams, and for JavaScript before 2019. JSON has them in
// strings only.
func escapeSeparators(text []byte) []byte {
	if bytes.Contains(text, []byte("\u2028")) {
		text = bytes.ReplaceAll(text, []byte("\u2028"), []byte(`\u2028`))
	}
	if bytes.Contains(text, []byte("\u2029")) {
		text = bytes.ReplaceAll(text, []byte("\u2029"), []byte(`\u2029`))
	}
	return text
}
