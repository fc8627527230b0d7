package messaging

import "encoding/json"

// objectReader reads the members of one JSON object in one pass, without decoding
// them, and checks the grammar of RFC 8259.
//
// It is used in place of encoding/json, which ignores the case of struct fields,
// and allocates: an event is read for each of its deliveries. The reader returns
// slices of data, without a copy. The caller checks that data is valid UTF-8
// and, if a key occurs twice, uses the later value, as JavaScript does.
//
// Call next until it returns false, then bad.
type objectReader struct {
	data []byte
	pos  int
	// depth is the deepest nesting read so far; the object itself is level 1.
	depth int
	// spaced is set if the value returned last has white space between its tokens.
	spaced bool
	begun  bool
	failed bool
}

// next returns the next member: the key as a JSON string with its quotes, and the
// value without the white space around it. It returns false after the last member
// and at the first fault. Only white space may follow the object.
func (r *objectReader) next() (key, value []byte, ok bool) {
	if r.failed {
		return nil, nil, false
	}
	r.space()
	if !r.begun {
		r.begun = true
		r.depth = 1
		if !r.take('{') {
			return nil, nil, r.fail()
		}
		r.space()
		if r.take('}') {
			return nil, nil, r.end()
		}
	} else {
		if r.take('}') {
			return nil, nil, r.end()
		}
		if !r.take(',') {
			return nil, nil, r.fail()
		}
		r.space()
	}
	start := r.pos
	if !r.text() {
		return nil, nil, r.fail()
	}
	key = r.data[start:r.pos]
	r.space()
	if !r.take(':') {
		return nil, nil, r.fail()
	}
	r.space()
	start = r.pos
	r.spaced = false
	if !r.value() {
		return nil, nil, r.fail()
	}
	// The capacity ends with the value, so that an append to it cannot overwrite data.
	return key, r.data[start:r.pos:r.pos], true
}

// bad reports whether data is not one JSON object, and returns the offset of the
// first byte that is wrong.
func (r *objectReader) bad() (offset int, bad bool) { return r.pos, r.failed }

func (r *objectReader) fail() bool {
	r.failed = true
	return false
}

// end checks that only white space follows the object.
func (r *objectReader) end() bool {
	r.space()
	r.failed = r.pos < len(r.data)
	return false
}

// value skips one value of any type. It uses a stack of its own and does not
// recurse, because only the size of the input bounds its nesting.
func (r *objectReader) value() bool {
	var room [64]byte
	open := room[:0]
	for {
		if r.pos >= len(r.data) {
			return false
		}
		switch c := r.data[r.pos]; c {
		case '{', '[':
			r.pos++
			open = append(open, c+2) // in ASCII the closing bracket is the opening one + 2
			r.depth = max(r.depth, 1+len(open))
			r.inner()
			if r.take(c + 2) {
				open = open[:len(open)-1]
				break
			}
			if c == '{' && !r.key() {
				return false
			}
			continue
		case '"':
			if !r.text() {
				return false
			}
		case 't':
			if !r.literal("true") {
				return false
			}
		case 'f':
			if !r.literal("false") {
				return false
			}
		case 'n':
			if !r.literal("null") {
				return false
			}
		default:
			if !r.number() {
				return false
			}
		}
		// A value has ended. Skip the brackets that close with it, up to the next value.
		for {
			if len(open) == 0 {
				return true
			}
			r.inner()
			closing := open[len(open)-1]
			if r.take(closing) {
				open = open[:len(open)-1]
				continue
			}
			if !r.take(',') {
				return false
			}
			r.inner()
			if closing == '}' && !r.key() {
				return false
			}
			break
		}
	}
}

// key skips the key of a nested member, its colon and the white space after it.
func (r *objectReader) key() bool {
	if !r.text() {
		return false
	}
	r.inner()
	if !r.take(':') {
		return false
	}
	r.inner()
	return true
}

// text skips one string.
func (r *objectReader) text() bool {
	if !r.take('"') {
		return false
	}
	for r.pos < len(r.data) {
		switch c := r.data[r.pos]; {
		case c == '"':
			r.pos++
			return true
		case c < ' ':
			return false
		case c == '\\':
			if !r.escape() {
				return false
			}
		default:
			r.pos++
		}
	}
	return false
}

func (r *objectReader) escape() bool {
	if r.pos+1 >= len(r.data) {
		return false
	}
	switch r.data[r.pos+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		r.pos += 2
		return true
	case 'u':
		if r.pos+6 > len(r.data) {
			return false
		}
		for _, c := range r.data[r.pos+2 : r.pos+6] {
			if !isDigit(c) && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
				return false
			}
		}
		r.pos += 6
		return true
	default:
		return false
	}
}

func (r *objectReader) number() bool {
	r.take('-')
	if !r.take('0') && !r.digits() {
		return false
	}
	if r.take('.') && !r.digits() {
		return false
	}
	if r.take('e') || r.take('E') {
		if !r.take('+') {
			r.take('-')
		}
		return r.digits()
	}
	return true
}

// digits skips digits, and reports whether there was at least one.
func (r *objectReader) digits() bool {
	start := r.pos
	for r.pos < len(r.data) && isDigit(r.data[r.pos]) {
		r.pos++
	}
	return r.pos > start
}

func (r *objectReader) literal(word string) bool {
	if r.pos+len(word) > len(r.data) || string(r.data[r.pos:r.pos+len(word)]) != word {
		return false
	}
	r.pos += len(word)
	return true
}

func (r *objectReader) take(c byte) bool {
	if r.pos < len(r.data) && r.data[r.pos] == c {
		r.pos++
		return true
	}
	return false
}

func (r *objectReader) space() {
	for r.pos < len(r.data) && isSpace(r.data[r.pos]) {
		r.pos++
	}
}

// inner skips white space inside a value, and sets spaced if there was some.
func (r *objectReader) inner() {
	start := r.pos
	r.space()
	r.spaced = r.spaced || r.pos > start
}

// plainKey returns the text of a key that next has returned.
func plainKey(key []byte) []byte {
	for _, c := range key {
		if c == '\\' {
			return []byte(unquote(key))
		}
	}
	return key[1 : len(key)-1]
}

// unquote returns the text of a JSON string that the reader has checked.
func unquote(text []byte) string {
	for _, c := range text {
		if c == '\\' {
			var s string
			// This cannot fail: the reader has checked the grammar.
			_ = json.Unmarshal(text, &s)
			return s
		}
	}
	return string(text[1 : len(text)-1])
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' }
func isDigit(c byte) bool { return '0' <= c && c <= '9' }
