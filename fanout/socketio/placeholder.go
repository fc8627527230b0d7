package socketio

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
)

// checkPlaceholders verifies that every placeholder in data, at any depth,
// names one of count attachments with a whole number.
func checkPlaceholders(data json.RawMessage, count int) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var open []object // one per array or object around the current token
	for {
		token, err := decoder.Token()
		if err != nil { // io.EOF: data is known to be valid
			return nil
		}
		delim, _ := token.(json.Delim)
		if delim == '}' || delim == ']' {
			closed := open[len(open)-1]
			open = open[:len(open)-1]
			if err := closed.check(count); err != nil {
				return err
			}
			continue
		}
		if len(open) > 0 {
			open[len(open)-1].value(token)
		}
		if delim != 0 {
			open = append(open, object{isObject: delim == '{'})
		}
	}
}

// object is the state of a JSON object that is being read.
type object struct {
	isObject    bool
	key         string
	inValue     bool
	placeholder bool
	num         any
}

// value handles the next token of the object: a key or a value.
func (o *object) value(token json.Token) {
	if !o.isObject {
		return
	}
	if !o.inValue {
		o.key, _ = token.(string)
		o.inValue = true
		return
	}
	o.inValue = false
	switch o.key {
	case "_placeholder":
		o.placeholder = token == true
	case "num":
		o.num = token
	}
}

func (o *object) check(count int) error {
	if !o.placeholder {
		return nil
	}
	number, _ := o.num.(json.Number)
	index, err := strconv.Atoi(number.String())
	if err != nil || index < 0 || index >= count {
		return fmt.Errorf("%w: placeholder of no attachment", ErrPacket)
	}
	return nil
}
