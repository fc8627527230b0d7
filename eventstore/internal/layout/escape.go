package layout

import (
	"errors"
	"strings"
)

// errBadEscape is returned by [Unescape] for text that [Escape] did not write.
var errBadEscape = errors.New("invalid escape")

const hexDigits = "0123456789ABCDEF"

// Escape writes any string in the bytes that a NATS header value carries
// unchanged: visible ASCII. Everything else, and the two characters with a
// meaning here, '%' and '~', becomes %XX. Without it a header would lose line
// ends and surrounding spaces, and two ids could become one.
func Escape(text string) string {
	extra := 0
	for i := range len(text) {
		if mustEscape(text[i]) {
			extra += 2
		}
	}
	if extra == 0 {
		return text
	}
	var out strings.Builder
	out.Grow(len(text) + extra)
	for i := range len(text) {
		c := text[i]
		if !mustEscape(c) {
			out.WriteByte(c)
			continue
		}
		out.WriteByte('%')
		out.WriteByte(hexDigits[c>>4])
		out.WriteByte(hexDigits[c&15])
	}
	return out.String()
}

func mustEscape(c byte) bool { return c <= ' ' || c >= 0x7f || c == '%' || c == '~' }

// Unescape reverses [Escape]. It accepts nothing that escape does not write, so
// that one text has one form.
func Unescape(text string) (string, error) {
	if strings.IndexFunc(text, func(r rune) bool { return r == '%' || r > 0x7e || r <= ' ' || r == '~' }) < 0 {
		return text, nil
	}
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c != '%' {
			if mustEscape(c) {
				return "", errBadEscape
			}
			out = append(out, c)
			continue
		}
		if i+2 >= len(text) {
			return "", errBadEscape
		}
		high, low := strings.IndexByte(hexDigits, text[i+1]), strings.IndexByte(hexDigits, text[i+2])
		if high < 0 || low < 0 || !mustEscape(byte(high<<4|low)) {
			return "", errBadEscape
		}
		out = append(out, byte(high<<4|low))
		i += 2
	}
	return string(out), nil
}
