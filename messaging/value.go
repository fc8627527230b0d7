package messaging

import (
	"math"
	"strconv"
)

// parseValue parses one value that an [objectReader] has checked, into the form that
// the schema validator needs. It recurses as deep as the value nests, which the caller
// has bounded.
//
// Numbers become int64 or float64. A number outside the range of float64 becomes the
// nearest float64: the validator computes with exact fractions, and the exponent of a
// hostile number must not determine their size.
func parseValue(data []byte) any {
	p := valueParser{data: data}
	return p.value()
}

type valueParser struct {
	data []byte
	pos  int
}

func (p *valueParser) value() any {
	p.skip()
	switch c := p.data[p.pos]; c {
	case '{':
		return p.object()
	case '[':
		return p.array()
	case '"':
		return p.text()
	case 't':
		p.pos += len("true")
		return true
	case 'f':
		p.pos += len("false")
		return false
	case 'n':
		p.pos += len("null")
		return nil
	default:
		return p.number()
	}
}

func (p *valueParser) object() map[string]any {
	object := make(map[string]any)
	for p.pos++; ; {
		p.skip()
		if p.data[p.pos] == '}' {
			p.pos++
			return object
		}
		key := p.text()
		object[key] = p.value()
	}
}

func (p *valueParser) array() []any {
	array := []any{}
	for p.pos++; ; {
		p.skip()
		if p.data[p.pos] == ']' {
			p.pos++
			return array
		}
		array = append(array, p.value())
	}
}

func (p *valueParser) text() string {
	start := p.pos
	for p.pos++; p.data[p.pos] != '"'; p.pos++ {
		if p.data[p.pos] == '\\' {
			p.pos++
		}
	}
	p.pos++
	return unquote(p.data[start:p.pos])
}

func (p *valueParser) number() any {
	start := p.pos
	integer := true
	for ; p.pos < len(p.data); p.pos++ {
		switch c := p.data[p.pos]; {
		case isDigit(c), c == '-':
		case c == '+', c == '.', c == 'e', c == 'E':
			integer = false
		default:
			return parseNumber(p.data[start:p.pos], integer)
		}
	}
	return parseNumber(p.data[start:], integer)
}

func parseNumber(text []byte, integer bool) any {
	if integer {
		if n, err := strconv.ParseInt(string(text), 10, 64); err == nil {
			return n
		}
	}
	f, _ := strconv.ParseFloat(string(text), 64) // the grammar was checked: the only possible error is the range
	return min(max(f, -math.MaxFloat64), math.MaxFloat64)
}

// skip skips white space and separators; the reader has checked that they are where
// they may be.
func (p *valueParser) skip() {
	for isSpace(p.data[p.pos]) || p.data[p.pos] == ',' || p.data[p.pos] == ':' {
		p.pos++
	}
}
