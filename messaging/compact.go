package messaging

import "unicode/utf8"

// appendCompact appends a value that an [objectReader] has checked, and removes the
// white space between its tokens.
func appendCompact(dst, value []byte) []byte {
	for start, pos := 0, 0; ; {
		for pos < len(value) && !isSpace(value[pos]) {
			if value[pos] == '"' {
				pos = afterText(value, pos)
			} else {
				pos++
			}
		}
		dst = append(dst, value[start:pos]...)
		for pos < len(value) && isSpace(value[pos]) {
			pos++
		}
		if pos == len(value) {
			return dst
		}
		start = pos
	}
}

// afterText returns the offset after the checked string that begins at pos.
func afterText(value []byte, pos int) int {
	for pos++; value[pos] != '"'; pos++ {
		if value[pos] == '\\' {
			pos++
		}
	}
	return pos + 1
}

// appendText appends s as a JSON string, and escapes only what RFC 8259 requires:
// encoding/json also escapes <, > and &, which is needed only inside HTML. Bytes
// that are not UTF-8 become U+FFFD.
func appendText(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				dst = append(dst, s[start:i]...)
				dst = append(dst, "\uFFFD"...)
				start = i + 1
			}
			i += size
			continue
		}
		if c >= ' ' && c != '"' && c != '\\' {
			i++
			continue
		}
		dst = append(dst, s[start:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', upperHex[c>>4], upperHex[c&0xF])
		}
		i++
		start = i
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}
