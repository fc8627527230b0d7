package jet

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
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
	directRequest = "DIRECT.GET."
	leaderRequest = "STREAM.MSG.GET."

	HeaderStatus      = "Status"
	HeaderDescription = "Description"
	HeaderPending     = "Nats-Num-Pending"
	HeaderLast        = "Nats-Last-Sequence"

	StatusEndOfBatch   = "204"
	statusNotFound     = "404"
	StatusNoResponders = "503"

	// descriptionNoResults tells "none of these subjects has a message" from "one
	// of their messages could not be loaded", which has the same status.
	descriptionNoResults = "No Results"
)

// BatchBytes bounds what one request brings at once, so that a read of large
// events does not hold up what else travels on the connection.
const BatchBytes = 4 << 20

// Request is the request of a Direct Get, and of a Get from the leader.
type Request struct {
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
type Message struct {
	Subject  string
	Sequence uint64
	At       time.Time
	Header   nats.Header
	Body     []byte
	// pending counts the matching messages after this one, in a batch only.
	Pending uint64
}

// direct gets one message from any replica. It returns [ErrNotFound] when that
// replica has none.
func (c *Client) Direct(ctx context.Context, stream string, request Request) (Message, error) {
	ctx, cancel := context.WithTimeout(ctx, c.ReadTimeout)
	defer cancel()
	payload, err := json.Marshal(request)
	if err != nil {
		return Message{}, fmt.Errorf("encode request: %w", err)
	}
	response, err := c.Reads.RequestWithContext(ctx, c.API(directRequest+stream), payload)
	if err != nil {
		return Message{}, Unavailable(err)
	}
	if status := response.Header.Get(HeaderStatus); status != "" {
		return Message{}, statusError(status, response.Header.Get(HeaderDescription))
	}
	return parseDirect(response, false)
}

// batch gets the messages that match, in ascending order, and calls each for
// every one. It returns nil once the server said that the batch is complete and
// every message of it has arrived; none at all is complete too.
func (c *Client) Batch(ctx context.Context, stream string, request Request, each func(Message)) error {
	ctx, cancel := context.WithTimeout(ctx, c.ReadTimeout)
	defer cancel()
	payload, err := json.Marshal(request)
	if err != nil {
		return fmt.Errorf("encode request: %w", err)
	}
	inbox := c.Reads.NewRespInbox()
	// Room for the whole answer, and no more: the client's own channel takes half a
	// megabyte for each request.
	responses := make(chan *nats.Msg, max(request.Batch, len(request.LastOf), 1)+1)
	sub, err := c.Reads.ChanSubscribe(inbox, responses)
	if err != nil {
		return Unavailable(err)
	}
	defer func() { _ = sub.Unsubscribe() }() // Fails only when the connection is gone, and the subscription with it.
	if err := c.Reads.PublishRequest(c.API(directRequest+stream), inbox, payload); err != nil {
		return Unavailable(err)
	}
	var last uint64
	for {
		var response *nats.Msg
		select {
		case response = <-responses:
		case <-ctx.Done():
			return Unavailable(ctx.Err())
		}
		status, description := response.Header.Get(HeaderStatus), response.Header.Get(HeaderDescription)
		switch status {
		case "", StatusEndOfBatch:
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
		previous, err := NumberHeader(response.Header, HeaderLast)
		if err != nil {
			return err
		}
		if previous != last {
			return fmt.Errorf("%w: after sequence %d, want one after %d", ErrIncomplete, previous, last)
		}
		if status == StatusEndOfBatch {
			return nil
		}
		found, err := parseDirect(response, true)
		if err != nil {
			return err
		}
		last = found.Sequence
		each(found)
	}
}

// statusError translates a status that stands in for a message.
func statusError(status, description string) error {
	switch status {
	case statusNotFound:
		return ErrNotFound
	case StatusNoResponders:
		return fmt.Errorf("%w: no replica answers", ErrUnavailable)
	default:
		return fmt.Errorf("direct get was refused: %s %s", status, description)
	}
}

// parseDirect reads a response that carries a message.
func parseDirect(response *nats.Msg, inBatch bool) (Message, error) {
	found := Message{
		Subject: response.Header.Get(jetstream.SubjectHeader),
		Header:  response.Header,
		Body:    response.Data,
	}
	var err error
	if found.Sequence, err = NumberHeader(response.Header, jetstream.SequenceHeader); err != nil {
		return Message{}, err
	}
	if found.At, err = TimeHeader(response.Header, jetstream.TimeStampHeaer); err != nil {
		return Message{}, err
	}
	if inBatch {
		found.Pending, err = NumberHeader(response.Header, HeaderPending)
	}
	return found, err
}

// leader gets one message from the leader of the stream: what it answers is so.
func (c *Client) Leader(ctx context.Context, stream string, request Request) (Message, error) {
	ctx, cancel := context.WithTimeout(ctx, c.ReadTimeout)
	defer cancel()
	payload, err := json.Marshal(request)
	if err != nil {
		return Message{}, fmt.Errorf("encode request: %w", err)
	}
	response, err := c.Reads.RequestWithContext(ctx, c.API(leaderRequest+stream), payload)
	if err != nil {
		return Message{}, Unavailable(err)
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
		return Message{}, fmt.Errorf("read the answer of the leader: %w", err)
	}
	switch {
	case answer.Error != nil && answer.Error.ErrorCode == CodeNoMessage:
		return Message{}, ErrNotFound
	case answer.Error != nil:
		return Message{}, Unavailable(answer.Error)
	case answer.Message == nil:
		return Message{}, errors.New("the answer of the leader holds no message")
	}
	found := Message{
		Subject:  answer.Message.Subject,
		Sequence: answer.Message.Sequence,
		At:       answer.Message.At,
		Body:     answer.Message.Body,
	}
	if answer.Message.Header == "" {
		return found, nil
	}
	raw, err := base64.StdEncoding.DecodeString(answer.Message.Header)
	if err != nil {
		return Message{}, fmt.Errorf("read the headers from the leader: %w", err)
	}
	if found.Header, err = nats.DecodeHeadersMsg(raw); err != nil {
		return Message{}, fmt.Errorf("read the headers from the leader: %w", err)
	}
	return found, nil
}

// NumberHeader returns a header that the server wrote as a number.
func NumberHeader(header nats.Header, name string) (uint64, error) {
	number, err := strconv.ParseUint(header.Get(name), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("header %s: %w", name, err)
	}
	return number, nil
}

// TimeHeader returns a header that the server wrote as a time.
func TimeHeader(header nats.Header, name string) (time.Time, error) {
	stamp, err := time.Parse(time.RFC3339Nano, header.Get(name))
	if err != nil {
		return time.Time{}, fmt.Errorf("header %s: %w", name, err)
	}
	return stamp, nil
}
