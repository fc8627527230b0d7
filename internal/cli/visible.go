package cli

import (
	"fmt"
	"io"
	"unicode/utf8"
)

// Visible is a writer for text that contains strings of others, such as events, ids and
// logs. It writes a character that a terminal would interpret as \uXXXX, which JSON parses
// as the same character; line breaks and tabs are unchanged. It is not safe for concurrent
// use.
type Visible struct {
	to      io.Writer
	partial []byte // the beginning of a character whose end was not written yet
}

// NewVisible returns a writer that writes to to.
func NewVisible(to io.Writer) *Visible { return &Visible{to: to} }

// Write implements io.Writer.
func (v *Visible) Write(text []byte) (int, error) {
	whole := text
	if len(v.partial) > 0 {
		whole = append(v.partial, text...)
		v.partial = nil
	}
	if end := wholeCharacters(whole); end < len(whole) {
		v.partial = append(v.partial, whole[end:]...)
		whole = whole[:end]
	}
	if _, err := v.to.Write(escape(whole)); err != nil {
		return 0, err
	}
	return len(text), nil
}

// End writes the incomplete character at the end.
func (v *Visible) End() {
	if len(v.partial) > 0 {
		_, _ = v.to.Write(escape(v.partial)) // the caller has ended and cannot handle the error
		v.partial = nil
	}
}

// Unescaped returns the underlying writer, for bytes that must not be changed.
func Unescaped(w io.Writer) io.Writer {
	if v, ok := w.(*Visible); ok {
		return v.to
	}
	return w
}

// wholeCharacters returns the length of text without an incomplete UTF-8 sequence at its
// end.
func wholeCharacters(text []byte) int {
	for back := 1; back < utf8.UTFMax && back <= len(text); back++ {
		if start := len(text) - back; utf8.RuneStart(text[start]) {
			if !utf8.FullRune(text[start:]) {
				return start
			}
			break
		}
	}
	return len(text)
}

// escape returns text itself if there is nothing to escape.
func escape(text []byte) []byte {
	var escaped []byte
	kept := 0 // up to where escaped has the text
	for i := 0; i < len(text); {
		char, size := utf8.DecodeRune(text[i:])
		if acts(char) || char == utf8.RuneError && size == 1 {
			escaped = append(escaped, text[kept:i]...)
			if size == 1 && char == utf8.RuneError {
				escaped = fmt.Appendf(escaped, `\x%02x`, text[i])
			} else {
				escaped = fmt.Appendf(escaped, `\u%04x`, char)
			}
			kept = i + size
		}
		i += size
	}
	if kept == 0 {
		return text
	}
	return append(escaped, text[kept:]...)
}

// acts reports whether a terminal interprets a character instead of showing it: the control
// characters of ASCII and Latin-1 except line breaks and tabs, the line and paragraph
// separators, and those that change the direction of writing (UAX #9).
func acts(char rune) bool {
	switch {
	case char == '\n' || char == '\t':
		return false
	case char < ' ', char >= 0x7f && char < 0xa0, char >= 0x2028 && char <= 0x202e, char >= 0x2066 && char <= 0x2069:
		return true
	}
	return false
}
