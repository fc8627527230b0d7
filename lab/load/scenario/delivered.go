package scenario

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/letswriteabook/realtime/lab/load/socket"
)

// delivered is what a follower reads of an event.
type delivered struct {
	Sequence uint64          `json:"sequence"`
	ID       string          `json:"id"`
	Event    json.RawMessage `json:"event"`
}

// The fields as they stand in the text of an event. The harness's own texts have no
// quotes in them that could look like these.
var (
	sequenceField = []byte(`"sequence":`)
	idField       = []byte(`"id":"`)
)

// readDelivered reads an event. Those of the harness are not decoded: of very many
// deliveries that alone would be a good part of the harness's processor time, which
// is the gateway's where they share a machine.
func readDelivered(e socket.Event) (d delivered, err error) {
	text := e.Text()
	if sequence, has := after(text, sequenceField, ",}"); has {
		if id, has := after(text, idField, `"`); has && bytes.IndexByte(id, '\\') < 0 {
			d.ID = string(id)
			if d.Sequence, err = strconv.ParseUint(string(sequence), 10, 64); err == nil {
				return d, nil
			}
		}
	}
	d = delivered{}
	return d, e.Decode(&d)
}

// after returns what stands behind the last such field, up to one of the ends.
func after(text, field []byte, ends string) (value []byte, has bool) {
	at := bytes.LastIndex(text, field)
	if at < 0 {
		return nil, false
	}
	value = text[at+len(field):]
	end := bytes.IndexAny(value, ends)
	if end < 0 {
		return nil, false
	}
	return value[:end], true
}

// number returns which event of its job it is, −1 when it is none of the
// harness's. Events that were seeded into MongoDB have no id, and their number in
// the event.
func (d delivered) number(job string) int {
	if d.ID == "" {
		var event struct{ Number *int }
		if json.Unmarshal(d.Event, &event) == nil && event.Number != nil {
			return *event.Number
		}
		return -1
	}
	text, ours := strings.CutPrefix(d.ID, job+"/")
	number, err := strconv.Atoi(text)
	if !ours || err != nil {
		return -1
	}
	return number
}
