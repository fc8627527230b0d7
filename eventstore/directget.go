package eventstore

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/messaging"
)

// Direct Get, as the NATS architecture decision record 31 describes it: one
// request on $JS.API.DIRECT.GET.<stream>, answered by any replica with the
// messages themselves, one response each, and, for a batch, an empty response
// with the status "204 EOB" at its end.
//
//	Nats-Subject, Nats-Sequence, Nats-Time-Stamp   of the stored message
//	Nats-Num-Pending                               matching messages after this one
//	Nats-Last-Sequence                             the response before this one
//
// The requests are made here rather than by a library because the known one
// takes an answer that stopped half way for a complete one.
const (
	directSubject = "$JS.API.DIRECT.GET."
	leaderSubject = "$JS.API.STREAM.MSG.GET."

	headerStatus      = "Status"
	headerDescription = "Description"
	headerPending     = "Nats-Num-Pending"
	headerLast        = "Nats-Last-Sequence"

	statusEndOfBatch   = "204"
	statusNotFound     = "404"
	statusNoResponders = "503"

	// descriptionNoResults tells "none of these subjects has a message" from "one
	// of their messages could not be loaded", which has the same status.
	descriptionNoResults = "No Results"
)

// batchBytes bounds what one request brings at once, so that a read of large
// events does not hold up what else travels on the connection.
const batchBytes = 4 << 20

// directRequest is the request of a Direct Get, and of a Get from the leader.
type directRequest struct {
	Sequence uint64   `json:"seq,omitempty"`
	Next     string   `json:"next_by_subj,omitempty"`
	Last     string   `json:"last_by_subj,omitempty"`
	LastOf   []string `json:"multi_last,omitempty"`
	// StartTime stands in for Sequence: the first record at or after it.
	StartTime *time.Time `json:"start_time,omitempty"`
	Batch     int        `json:"batch,omitempty"`
	MaxBytes  int        `json:"max_bytes,omitempty"`
}

// message is one stored message.
type message struct {
	subject  string
	sequence uint64
	at       time.Time
	header   nats.Header
	body     []byte
	// pending counts the matching messages after this one, in a batch only.
	pending uint64
}

// record decodes the message.
func (m message) record(epoch string) (messaging.Record, error) {
	return decode(m.subject, m.header, m.body, messaging.Position{Epoch: epoch, Sequence: m.sequence}, m.at)
}

// direct gets one message from any replica. It returns [errNotFound] when that
// replica has none.
func (l *Log) direct(ctx context.Context, stream string, request directRequest) (message, error) {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.ReadTimeout)
	defer cancel()
	payload, err := json.Marshal(request)
	if err != nil {
		return message{}, fmt.Errorf("encode request: %w", err)
	}
	response, err := l.reads.RequestWithContext(ctx, directSubject+stream, payload)
	if err != nil {
		return message{}, unavailable(err)
	}
	if status := response.Header.Get(headerStatus); status != "" {
		return message{}, statusError(status, response.Header.Get(headerDescription))
	}
	return parseDirect(response, false)
}

// batch gets the messages that match, in ascending order, and calls each for
// every one. It returns nil once the server said that the batch is complete and
// every message of it has arrived; none at all is complete too.
func (l *Log) batch(ctx context.Context, stream string, request directRequest, each func(message)) error {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.ReadTimeout)
	defer cancel()
	payload, err := json.Marshal(request)
	if err != nil {
		return fmt.Errorf("encode request: %w", err)
	}
	inbox := l.reads.NewRespInbox()
	// Room for the whole answer, and no more: the client's own channel takes half a
	// megabyte for each request.
	responses := make(chan *nats.Msg, max(request.Batch, len(request.LastOf), 1)+1)
	sub, err := l.reads.ChanSubscribe(inbox, responses)
	if err != nil {
		return unavailable(err)
	}
	defer func() { _ = sub.Unsubscribe() }() // Fails only when the connection is gone, and the subscription with it.
	if err := l.reads.PublishRequest(directSubject+stream, inbox, payload); err != nil {
		return unavailable(err)
	}
	var last uint64
	for {
		var response *nats.Msg
		select {
		case response = <-responses:
		case <-ctx.Done():
			return unavailable(ctx.Err())
		}
		status, description := response.Header.Get(headerStatus), response.Header.Get(headerDescription)
		switch status {
		case "", statusEndOfBatch:
		case statusNotFound:
			if last != 0 || len(request.LastOf) > 0 && description != descriptionNoResults {
				return fmt.Errorf("%w: a record after sequence %d could not be loaded", ErrIncomplete, last)
			}
			return nil
		default:
			return statusError(status, description)
		}
		// Every response names the one before it: one that was dropped on the
		// way shows.
		previous, err := numberHeader(response.Header, headerLast)
		if err != nil {
			return err
		}
		if previous != last {
			return fmt.Errorf("%w: after sequence %d, want one after %d", ErrIncomplete, previous, last)
		}
		if status == statusEndOfBatch {
			return nil
		}
		found, err := parseDirect(response, true)
		if err != nil {
			return err
		}
		last = found.sequence
		each(found)
	}
}

// statusError translates a status that stands in for a message.
func statusError(status, description string) error {
	switch status {
	case statusNotFound:
		return errNotFound
	case statusNoResponders:
		return fmt.Errorf("%w: no replica answers", ErrUnavailable)
	default:
		return fmt.Errorf("direct get was refused: %s %s", status, description)
	}
}

// parseDirect reads a response that carries a message.
func parseDirect(response *nats.Msg, inBatch bool) (message, error) {
	found := message{
		subject: response.Header.Get(jetstream.SubjectHeader),
		header:  response.Header,
		body:    response.Data,
	}
	var err error
	if found.sequence, err = numberHeader(response.Header, jetstream.SequenceHeader); err != nil {
		return message{}, err
	}
	if found.at, err = timeHeader(response.Header, jetstream.TimeStampHeaer); err != nil {
		return message{}, err
	}
	if inBatch {
		found.pending, err = numberHeader(response.Header, headerPending)
	}
	return found, err
}

// leader gets one message from the leader of the stream: what it answers is so.
func (l *Log) leader(ctx context.Context, stream string, request directRequest) (message, error) {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.ReadTimeout)
	defer cancel()
	payload, err := json.Marshal(request)
	if err != nil {
		return message{}, fmt.Errorf("encode request: %w", err)
	}
	response, err := l.reads.RequestWithContext(ctx, leaderSubject+stream, payload)
	if err != nil {
		return message{}, unavailable(err)
	}
	var answer struct {
		Error   *jetstream.APIError `json:"error"`
		Message *struct {
			Subject  string    `json:"subject"`
			Sequence uint64    `json:"seq"`
			Header   string    `json:"hdrs"`
			Body     []byte    `json:"data"`
			At       time.Time `json:"time"`
		} `json:"message"`
	}
	if err := json.Unmarshal(response.Data, &answer); err != nil {
		return message{}, fmt.Errorf("read the answer of the leader: %w", err)
	}
	switch {
	case answer.Error != nil && answer.Error.ErrorCode == codeNoMessage:
		return message{}, errNotFound
	case answer.Error != nil:
		return message{}, unavailable(answer.Error)
	case answer.Message == nil:
		return message{}, errors.New("the answer of the leader holds no message")
	}
	found := message{
		subject:  answer.Message.Subject,
		sequence: answer.Message.Sequence,
		at:       answer.Message.At,
		body:     answer.Message.Body,
	}
	if answer.Message.Header == "" {
		return found, nil
	}
	raw, err := base64.StdEncoding.DecodeString(answer.Message.Header)
	if err != nil {
		return message{}, fmt.Errorf("read the headers from the leader: %w", err)
	}
	if found.header, err = nats.DecodeHeadersMsg(raw); err != nil {
		return message{}, fmt.Errorf("read the headers from the leader: %w", err)
	}
	return found, nil
}
