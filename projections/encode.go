package projections

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/letswriteabook/realtime/messaging"
)

// appendValue appends the JSON of a BSON value, as JSON.stringify writes the value that
// MongoDB's driver for JavaScript returns: numbers in their shortest form, only the escapes
// that JSON requires, dates as [messaging.TimeLayout], object ids in hexadecimal, binary in
// base64, and null for NaN and the infinities. Types without a counterpart in JavaScript are
// written as MongoDB's relaxed Extended JSON.
//
// The value has been validated as a part of its document.
func appendValue(dst []byte, value bson.RawValue) ([]byte, error) {
	switch value.Type {
	case bson.TypeString:
		return appendString(dst, value.StringValue()), nil
	case bson.TypeInt32:
		return strconv.AppendInt(dst, int64(value.Int32()), 10), nil
	case bson.TypeInt64:
		return strconv.AppendInt(dst, value.Int64(), 10), nil
	case bson.TypeDouble:
		return appendDouble(dst, value.Double()), nil
	case bson.TypeBoolean:
		return strconv.AppendBool(dst, value.Boolean()), nil
	case bson.TypeNull, bson.TypeUndefined:
		return append(dst, "null"...), nil
	case bson.TypeEmbeddedDocument:
		return appendObject(dst, value.Document())
	case bson.TypeArray:
		return appendArray(dst, value.Array())
	case bson.TypeDateTime:
		return appendString(dst, messaging.FormatTime(value.Time())), nil
	case bson.TypeObjectID:
		return appendString(dst, value.ObjectID().Hex()), nil
	case bson.TypeBinary:
		_, data := value.Binary()
		return appendString(dst, base64.StdEncoding.EncodeToString(data)), nil
	default:
		extended := value.String()
		if !json.Valid([]byte(extended)) {
			return nil, fmt.Errorf("write BSON type %s as JSON: no valid form", value.Type)
		}
		return append(dst, extended...), nil
	}
}

func appendObject(dst []byte, object bson.Raw) ([]byte, error) {
	elements, err := object.Elements()
	if err != nil {
		return nil, fmt.Errorf("read BSON document: %w", err)
	}
	dst = append(dst, '{')
	for i, element := range elements {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = appendMember(dst, element.Key(), element.Value()); err != nil {
			return nil, err
		}
	}
	return append(dst, '}'), nil
}

func appendMember(dst []byte, name string, value bson.RawValue) ([]byte, error) {
	dst = appendString(dst, name)
	return appendValue(append(dst, ':'), value)
}

func appendArray(dst []byte, array bson.RawArray) ([]byte, error) {
	values, err := array.Values()
	if err != nil {
		return nil, fmt.Errorf("read BSON array: %w", err)
	}
	dst = append(dst, '[')
	for i, value := range values {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = appendValue(dst, value); err != nil {
			return nil, err
		}
	}
	return append(dst, ']'), nil
}

// appendDouble follows ECMAScript's Number::toString.
func appendDouble(dst []byte, number float64) []byte {
	if math.IsNaN(number) || math.IsInf(number, 0) {
		return append(dst, "null"...)
	}
	if number == 0 {
		return append(dst, '0') // negative zero too
	}
	if size := math.Abs(number); size >= 1e-6 && size < 1e21 {
		return strconv.AppendFloat(dst, number, 'f', -1, 64)
	}
	dst = strconv.AppendFloat(dst, number, 'e', -1, 64)
	// Go writes at least two digits of exponent, ECMAScript does not.
	if n := len(dst); dst[n-4] == 'e' && dst[n-2] == '0' {
		dst[n-2] = dst[n-1]
		dst = dst[:n-1]
	}
	return dst
}

const hexDigits = "0123456789abcdef"

// appendString follows ECMAScript's QuoteJSONString, but for lone surrogates,
// which Go strings cannot hold: bytes that are not UTF-8 become U+FFFD.
func appendString(dst []byte, text string) []byte {
	dst = append(dst, '"')
	for i := 0; i < len(text); {
		char := text[i]
		if char >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(text[i:])
			dst = utf8.AppendRune(dst, r)
			i += size
			continue
		}
		i++
		switch char {
		case '"', '\\':
			dst = append(dst, '\\', char)
		case '\b':
			dst = append(dst, `\b`...)
		case '\f':
			dst = append(dst, `\f`...)
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		case '\t':
			dst = append(dst, `\t`...)
		default:
			if char < ' ' {
				dst = append(dst, '\\', 'u', '0', '0', hexDigits[char>>4], hexDigits[char&0xf])
			} else {
				dst = append(dst, char)
			}
		}
	}
	return append(dst, '"')
}

var errNotExact = errors.New("not exact")

// encodesTo returns errNotExact when the JSON of value after its way through BSON differs
// from compact.
func encodesTo(value any, compact []byte) error {
	kind, data, err := bson.MarshalValue(value)
	if err != nil {
		return fmt.Errorf("write BSON: %w", err)
	}
	back, err := appendValue(make([]byte, 0, len(compact)), bson.RawValue{Type: kind, Value: data})
	if err != nil {
		return err
	}
	if string(back) != string(compact) {
		return errNotExact
	}
	return nil
}
