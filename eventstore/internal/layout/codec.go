package layout

import (
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/eventstore/internal/jet"
	"github.com/letswriteabook/realtime/messaging"
)

// The layout of a stored record:
//
//	subject       novel.events.<token of the job>
//	Nats-Msg-Id   j-<token of the job>.<id>, h-<derived id> or r-<id of a replay> [~<sequence of a purged original>];
//	              i-<id> in logs written before an id belonged to its job
//	Novel-Kind    kind of the envelope
//	Novel-Id      the producer's id; absent without one
//	Novel-At      emittedAt, as it was written
//	traceparent   W3C trace context; absent without one
//	Novel-Replay-Of  <epoch>:<sequence> of the record that this one repeats; absent in any other
//	payload       the envelope, byte for byte as it was published
//
// Header values that come from producers are escaped ([Escape]).
const (
	headerKind      = "Novel-Kind"
	HeaderID        = "Novel-Id"
	headerEmittedAt = "Novel-At"
	headerTrace     = "traceparent"
	HeaderReplayOf  = "Novel-Replay-Of"
	// HeaderJob has the job's token in a message whose subject does not name the job.
	HeaderJob = "Novel-Job"
)

// HeaderReserveBytes is room for all headers of a record or dead letter: an id
// and a derived id of 128 bytes, all escaped, and the rest.
const HeaderReserveBytes = 8 << 10

// The first letter keeps a producer from choosing an id that equals another
// producer's derived one, and a replay from being taken for a producer's repeat.
const (
	JobIDPrefix      = "j-"
	ProducerIDPrefix = "i-" // read only
	derivedIDPrefix  = "h-"
	replayIDPrefix   = "r-"
)

// Encode returns the message of a record that is to be appended.
func Encode(subject string, r messaging.Record) *nats.Msg {
	headers := newHeaders()
	prefix := derivedIDPrefix
	if r.ID != "" {
		prefix = JobIDPrefix + strings.TrimPrefix(subject, EventPrefix) + "."
		headers.set(HeaderID, Escape(r.ID))
	}
	if r.ReplayOf.Sequence > 0 {
		prefix = replayIDPrefix
		headers.set(HeaderReplayOf, r.ReplayOf.String())
	}
	headers.set(jetstream.MsgIDHeader, prefix+Escape(r.MessageID))
	headers.set(headerKind, Escape(string(r.Kind)))
	headers.set(headerEmittedAt, Escape(r.EmittedAt))
	if r.TraceParent != "" {
		headers.set(headerTrace, Escape(r.TraceParent))
	}
	return &nats.Msg{Subject: subject, Data: r.Body, Header: headers.header}
}

// headers builds a header whose values share one allocation.
type headers struct {
	header nats.Header
	values []string
}

// mostHeaders is how many headers a record has, those of a batch apart.
const mostHeaders = 6

func newHeaders() headers {
	return headers{header: make(nats.Header, mostHeaders+2), values: make([]string, 0, mostHeaders)}
}

func (h *headers) set(name, value string) {
	h.values = append(h.values, value)
	last := len(h.values)
	h.header[name] = h.values[last-1 : last : last]
}

// Record returns the record of a stored message, with a position in an epoch. It fails as
// [Decode] does.
func Record(stored jet.Message, epoch string) (messaging.Record, error) {
	return Decode(stored.Subject, stored.Header, stored.Body, messaging.Position{Epoch: epoch, Sequence: stored.Sequence}, stored.At)
}

// Decode returns the record in a message. It fails for a message that [Encode] did not
// write, such as one that another program stored under the subjects of the log.
func Decode(subject string, header nats.Header, body []byte, position messaging.Position, storedAt time.Time) (messaging.Record, error) {
	jobID, err := JobOf(subject)
	if err != nil {
		return messaging.Record{}, err
	}
	record := messaging.Record{Position: position, JobID: jobID, StoredAt: storedAt, Body: body}
	var kind string
	for _, field := range []struct {
		name string
		dst  *string
	}{
		{headerKind, &kind},
		{HeaderID, &record.ID},
		{headerEmittedAt, &record.EmittedAt},
		{headerTrace, &record.TraceParent},
	} {
		if *field.dst, err = Unescape(header.Get(field.name)); err != nil {
			return messaging.Record{}, fmt.Errorf("header %s at sequence %d: %w", field.name, position.Sequence, err)
		}
	}
	if kind == "" {
		return messaging.Record{}, fmt.Errorf("header %s at sequence %d is missing", headerKind, position.Sequence)
	}
	record.Kind = messaging.Kind(kind)
	if of := header.Get(HeaderReplayOf); of != "" {
		if record.ReplayOf, err = messaging.ParsePosition(of); err != nil {
			return messaging.Record{}, fmt.Errorf("header %s at sequence %d: %w", HeaderReplayOf, position.Sequence, err)
		}
	}
	if record.MessageID, err = MessageID(header.Get(jetstream.MsgIDHeader)); err != nil {
		return messaging.Record{}, fmt.Errorf("header %s at sequence %d: %w", jetstream.MsgIDHeader, position.Sequence, err)
	}
	return record, nil
}

// MessageID returns the message id inside a Nats-Msg-Id.
func MessageID(header string) (string, error) {
	header, _, _ = strings.Cut(header, "~")
	if rest, found := strings.CutPrefix(header, JobIDPrefix); found {
		_, id, _ := strings.Cut(rest, ".") // The token of a job has no dot.
		return Unescape(id)
	}
	for _, prefix := range []string{ProducerIDPrefix, derivedIDPrefix, replayIDPrefix} {
		if rest, found := strings.CutPrefix(header, prefix); found {
			return Unescape(rest)
		}
	}
	return "", errBadEscape
}
