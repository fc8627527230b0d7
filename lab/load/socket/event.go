package socket

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

// DomainEvent is the name of the socket event of an envelope of kind domain.
const DomainEvent = "novel.domain-event"

// Event is one event from the service.
type Event struct {
	Name string
	// Received is when the last byte of it was read.
	Received time.Time

	args []byte // the array with the name in front, as it came
}

// Args returns the arguments.
func (e Event) Args() ([]json.RawMessage, error) {
	var args []json.RawMessage
	if err := json.Unmarshal(e.args, &args); err != nil || len(args) == 0 {
		return nil, fmt.Errorf("%w: event %.64q", errProtocol, e.args)
	}
	return args[1:], nil
}

// Decode reads the first argument into v.
func (e Event) Decode(v any) error {
	args, err := e.Args()
	if err != nil {
		return err
	}
	if len(args) == 0 {
		return fmt.Errorf("%w: event %s has no argument", errProtocol, e.Name)
	}
	if err := json.Unmarshal(args[0], v); err != nil {
		return fmt.Errorf("decode event %s: %w", e.Name, err)
	}
	return nil
}

// Text returns the array with the name in front, as it came, for who reads a few
// fields of very many events. It must not be changed.
func (e Event) Text() []byte { return e.args }

// parseEvent reads ["name",…], behind the number of one that wants an answer. Only
// the name is decoded; the text is copied.
func parseEvent(text []byte, at time.Time) (Event, error) {
	_, text = cutNumber(text)
	if len(text) > 1 && text[0] == '[' && text[1] == '"' && text[len(text)-1] == ']' {
		for i := 2; i < len(text); i++ {
			if text[i] == '\\' {
				i++
				continue
			}
			if text[i] != '"' {
				continue
			}
			var name string
			if err := json.Unmarshal(text[1:i+1], &name); err != nil {
				break
			}
			return Event{Name: name, Received: at, args: bytes.Clone(text)}, nil
		}
	}
	return Event{}, fmt.Errorf("%w: event %.64q", errProtocol, text)
}

// mayHaveOffset reports whether the last argument is a string.
func (e Event) mayHaveOffset() bool { return len(e.args) > 1 && e.args[len(e.args)-2] == '"' }

// offset returns the last argument where it is a string, which is how a server that
// recovers sessions says how far the client has come.
func (e Event) offset() (offset string, has bool) {
	if !e.mayHaveOffset() {
		return "", false
	}
	args, err := e.Args()
	if err != nil || len(args) == 0 || json.Unmarshal(args[len(args)-1], &offset) != nil {
		return "", false
	}
	return offset, true
}
