package messaging

import "time"

// isRFC3339 says whether s is a date-time of RFC 3339, section 5.6.
func isRFC3339(s string) bool {
	// Up to 64 digits of a second's fraction fit; no clock needs more.
	var room [96]byte
	if len(s) < len("2006-01-02T15:04:05Z") || len(s) > len(room) {
		return false
	}
	text := room[:copy(room[:], s)]
	// The grammar allows a lower-case t and z and the leap second; package time
	// reads none of them.
	if text[10] == 't' {
		text[10] = 'T'
	}
	if last := len(text) - 1; text[last] == 'z' {
		text[last] = 'Z'
	}
	if string(text[17:19]) == "60" {
		text[17], text[18] = '5', '9'
	}
	var t time.Time
	return t.UnmarshalText(text) == nil
}
