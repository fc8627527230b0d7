package eventstore

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

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
// Header values that come from producers are escaped ([escape]).
const (
	headerKind      = "Novel-Kind"
	headerID        = "Novel-Id"
	headerEmittedAt = "Novel-At"
	headerTrace     = "traceparent"
	headerReplayOf  = "Novel-Replay-Of"
)

// headerReserveBytes is room for all headers of a record or dead letter: an id
// and a derived id of 128 bytes, all escaped, and the rest.
const headerReserveBytes = 8 << 10

// The first letter keeps a producer from choosing an id that equals another
// producer's derived one, and a replay from being taken for a producer's repeat.
const (
	jobIDPrefix      = "j-"
	producerIDPrefix = "i-" // read only
	derivedIDPrefix  = "h-"
	replayIDPrefix   = "r-"
)

// encode returns the message of a record that is to be appended.
func encode(subject string, r messaging.Record) *nats.Msg {
	headers := newHeaders()
	prefix := derivedIDPrefix
	if r.ID != "" {
		prefix = jobIDPrefix + strings.TrimPrefix(subject, eventPrefix) + "."
		headers.set(headerID, escape(r.ID))
	}
	if r.ReplayOf.Sequence > 0 {
		prefix = replayIDPrefix
		headers.set(headerReplayOf, r.ReplayOf.String())
	}
	headers.set(jetstream.MsgIDHeader, prefix+escape(r.MessageID))
	headers.set(headerKind, escape(string(r.Kind)))
	headers.set(headerEmittedAt, escape(r.EmittedAt))
	if r.TraceParent != "" {
		headers.set(headerTrace, escape(r.TraceParent))
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

// decode returns the record of a stored message. It fails for a message that
// this package did not store: one that somebody else put under its subjects.
func decode(subject string, header nats.Header, body []byte, position messaging.Position, storedAt time.Time) (messaging.Record, error) {
	jobID, err := jobOf(subject)
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
		{headerID, &record.ID},
		{headerEmittedAt, &record.EmittedAt},
		{headerTrace, &record.TraceParent},
	} {
		if *field.dst, err = unescape(header.Get(field.name)); err != nil {
			return messaging.Record{}, fmt.Errorf("header %s at sequence %d: %w", field.name, position.Sequence, err)
		}
	}
	if kind == "" {
		return messaging.Record{}, fmt.Errorf("header %s at sequence %d is missing", headerKind, position.Sequence)
	}
	record.Kind = messaging.Kind(kind)
	if of := header.Get(headerReplayOf); of != "" {
		if record.ReplayOf, err = messaging.ParsePosition(of); err != nil {
			return messaging.Record{}, fmt.Errorf("header %s at sequence %d: %w", headerReplayOf, position.Sequence, err)
		}
	}
	if record.MessageID, err = messageID(header.Get(jetstream.MsgIDHeader)); err != nil {
		return messaging.Record{}, fmt.Errorf("header %s at sequence %d: %w", jetstream.MsgIDHeader, position.Sequence, err)
	}
	return record, nil
}

// messageID returns the message id inside a Nats-Msg-Id.
func messageID(header string) (string, error) {
	header, _, _ = strings.Cut(header, "~")
	if rest, found := strings.CutPrefix(header, jobIDPrefix); found {
		_, id, _ := strings.Cut(rest, ".") // The token of a job has no dot.
		return unescape(id)
	}
	for _, prefix := range []string{producerIDPrefix, derivedIDPrefix, replayIDPrefix} {
		if rest, found := strings.CutPrefix(header, prefix); found {
			return unescape(rest)
		}
	}
	return "", errBadEscape
}

// numberHeader returns a header that the server wrote as a number.
func numberHeader(header nats.Header, name string) (uint64, error) {
	number, err := strconv.ParseUint(header.Get(name), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("header %s: %w", name, err)
	}
	return number, nil
}

// timeHeader returns a header that the server wrote as a time.
func timeHeader(header nats.Header, name string) (time.Time, error) {
	stamp, err := time.Parse(time.RFC3339Nano, header.Get(name))
	if err != nil {
		return time.Time{}, fmt.Errorf("header %s: %w", name, err)
	}
	return stamp, nil
}
