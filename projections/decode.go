package projections

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// maxDepth is how many levels of objects and arrays are parsed. MongoDB allows 100 in a
// document.
const maxDepth = 90

// errNoBSON marks JSON that has no BSON form: nested too deeply, or with a NUL
// in a name.
var errNoBSON = errors.New("no BSON form")

// decodeJSON returns the BSON value of one JSON value, with the members of
// objects in their order. Whole numbers become int32 or int64 as they fit, all
// others the nearest double. The input must be valid JSON.
func decodeJSON(data []byte) (any, error) {
	tokens := json.NewDecoder(bytes.NewReader(data))
	tokens.UseNumber()
	return decodeValue(tokens, 0)
}

func decodeValue(tokens *json.Decoder, depth int) (any, error) {
	token, err := tokens.Token()
	if err != nil {
		return nil, fmt.Errorf("read JSON: %w", err)
	}
	switch token := token.(type) {
	case json.Number:
		return decodeNumber(token.String()), nil
	case json.Delim:
		if depth == maxDepth {
			return nil, fmt.Errorf("%w: more than %d levels", errNoBSON, maxDepth)
		}
		if token == '{' {
			return decodeObject(tokens, depth+1)
		}
		return decodeArray(tokens, depth+1)
	case nil:
		return bson.Null{}, nil // nil has a BSON form only as a member of a document
	default: // string or bool
		return token, nil
	}
}

func decodeObject(tokens *json.Decoder, depth int) (any, error) {
	object := bson.D{}
	for tokens.More() {
		token, err := tokens.Token()
		if err != nil {
			return nil, fmt.Errorf("read JSON: %w", err)
		}
		name, _ := token.(string)
		if strings.IndexByte(name, 0) >= 0 {
			return nil, fmt.Errorf("%w: NUL in a name", errNoBSON)
		}
		value, err := decodeValue(tokens, depth)
		if err != nil {
			return nil, err
		}
		object = append(object, bson.E{Key: name, Value: value})
	}
	return object, closeDelim(tokens)
}

func decodeArray(tokens *json.Decoder, depth int) (any, error) {
	array := bson.A{}
	for tokens.More() {
		value, err := decodeValue(tokens, depth)
		if err != nil {
			return nil, err
		}
		array = append(array, value)
	}
	return array, closeDelim(tokens)
}

func closeDelim(tokens *json.Decoder) error {
	if _, err := tokens.Token(); err != nil {
		return fmt.Errorf("read JSON: %w", err)
	}
	return nil
}

func decodeNumber(literal string) any {
	if whole, err := strconv.ParseInt(literal, 10, 64); err == nil {
		if whole >= math.MinInt32 && whole <= math.MaxInt32 {
			return int32(whole)
		}
		return whole
	}
	// Out of range gives an infinity: what JavaScript makes of it.
	number, _ := strconv.ParseFloat(literal, 64)
	return number
}
