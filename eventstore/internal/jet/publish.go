package jet

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// PublishEach publishes messages to one stream without waiting between them, and returns
// the sequence of each. It is 0 for a message that was refused, and for one whose
// acknowledgement did not arrive within [Client.AckTimeout] or before ctx ended: whether
// that is stored is unknown. It sets Reply of the messages.
func (c *Client) PublishEach(ctx context.Context, stream string, messages []*nats.Msg) ([]uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, c.AckTimeout)
	defer cancel()
	sequences := make([]uint64, len(messages))
	inbox := c.Conn.NewInbox() + "."
	acks := make(chan *nats.Msg, len(messages)) // Room for all of them.
	sub, err := c.Conn.ChanSubscribe(inbox+"*", acks)
	if err != nil {
		return sequences, Unavailable(err)
	}
	defer func() { _ = sub.Unsubscribe() }() // Fails only when the connection is gone, and the subscription with it.
	for n, msg := range messages {
		msg.Reply = inbox + strconv.Itoa(n)
		if err := c.Conn.PublishMsg(msg); err != nil {
			return sequences, Unavailable(err)
		}
	}
	for range messages {
		select {
		case msg := <-acks:
			number, err := strconv.Atoi(strings.TrimPrefix(msg.Subject, inbox))
			var ack struct {
				Stream   string              `json:"stream"`
				Sequence uint64              `json:"seq"`
				Error    *jetstream.APIError `json:"error"`
			}
			if err == nil && number < len(messages) && json.Unmarshal(msg.Data, &ack) == nil && ack.Error == nil && ack.Stream == stream {
				sequences[number] = ack.Sequence
			}
		case <-ctx.Done():
			return sequences, Unavailable(ctx.Err())
		}
	}
	return sequences, nil
}
