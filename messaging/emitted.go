package messaging

import "time"

// isRFC3339 reports whether s is a date-time of RFC 3339, section 5.6. Package time
// cannot check it: it accepts "1:00", a comma in place of the point and any zone, and
// refuses a lower-case t and z and a leap second, which are allowed. The format assertion
// of the JSON Schema library (v6.0.3) accepts signs in place of digits, as in "+1:00:00".
//
//	2006-01-02T15:04:05[.digits](Z|±hh:mm)
func isRFC3339(s string) bool {
	const shape = "0000-00-00T00:00:00"
	if len(s) <= len(shape) || !isShaped(s[:len(shape)], shape) {
		return false
	}
	year, month, day := number(s[:4]), number(s[5:7]), number(s[8:10])
	if month < 1 || month > 12 || day < 1 || day > daysIn(year, month) {
		return false
	}
	if number(s[11:13]) > 23 || number(s[14:16]) > 59 || number(s[17:19]) > 60 {
		return false
	}
	rest := s[len(shape):]
	if rest[0] == '.' {
		digits := 1
		for digits < len(rest) && isDigit(rest[digits]) {
			digits++
		}
		if digits == 1 || digits > maxFractionDigits {
			return false
		}
		rest = rest[digits:]
	}
	switch {
	case rest == "Z" || rest == "z":
		return true
	case isShaped(rest, "+00:00") || isShaped(rest, "-00:00"):
		return number(rest[1:3]) <= 23 && number(rest[4:6]) <= 59
	default:
		return false
	}
}

// maxFractionDigits bounds the fraction of a second, which the grammar does not:
// the time is written into a header of each message of the log.
const maxFractionDigits = 64

// isShaped reports whether s has a digit for each zero of shape, a T or t for each T,
// and otherwise the same characters.
func isShaped(s, shape string) bool {
	if len(s) != len(shape) {
		return false
	}
	for i := range len(s) {
		switch c := shape[i]; {
		case c == '0':
			if !isDigit(s[i]) {
				return false
			}
		case s[i] != c && (c != 'T' || s[i] != 't'):
			return false
		}
	}
	return true
}

// number returns the value of decimal digits, of which there are at most four.
func number(digits string) int {
	n := 0
	for i := range len(digits) {
		n = 10*n + int(digits[i]-'0')
	}
	return n
}

func daysIn(year, month int) int {
	return time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}
