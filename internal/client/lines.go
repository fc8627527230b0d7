package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/nats-io/nuid"
	"github.com/redis/go-redis/v9"

	"github.com/letswriteabook/realtime/messaging"
)

// ErrRedisURL is returned for an address that is no Redis URL. A retry does not
// help.
var ErrRedisURL = errors.New("want a Redis address such as redis://localhost:6379")

// Batch says how [PublishLines] publishes.
type Batch struct {
	RedisURL  string
	Catalogue *messaging.Catalogue
	// MaxEventBytes is the largest envelope that the gateway takes.
	MaxEventBytes int
	// Timeout is how long to wait for each receipt.
	Timeout time.Duration
}

// PublishLines publishes one envelope a line and writes each receipt as a line of
// JSON. An envelope without an id is given one, so that it can be confirmed and
// is stored once. What is wrong with a line goes to complaints, with its number;
// the others are published, and the error then says how many were not stored.
func PublishLines(ctx context.Context, batch Batch, input io.Reader, receipts, complaints io.Writer) error {
	opts, err := redis.ParseURL(batch.RedisURL)
	if err != nil {
		return ErrRedisURL
	}
	connection := redis.NewClient(opts)
	defer connection.Close()
	publisher, err := NewPublisher(ctx, connection)
	if err != nil {
		return err
	}
	defer publisher.Close()

	number, failed := 0, 0
	lines := bufio.NewScanner(input)
	lines.Buffer(make([]byte, 64<<10), 2*batch.MaxEventBytes+1024)
	for ctx.Err() == nil && lines.Scan() {
		number++
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		receipt, err := batch.publish(ctx, publisher, line)
		if err != nil {
			failed++
			fmt.Fprintf(complaints, "line %d: %v\n", number, err)
			continue
		}
		if err := json.NewEncoder(receipts).Encode(receipt); err != nil {
			return fmt.Errorf("write the receipt of line %d: %w", number, err)
		}
	}
	if err := errors.Join(lines.Err(), ctx.Err()); err != nil {
		return fmt.Errorf("after line %d: %w", number, err)
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d lines were not stored", failed, number)
	}
	return nil
}

func (b Batch) publish(ctx context.Context, publisher *Publisher, line []byte) (messaging.Receipt, error) {
	envelope, err := b.Catalogue.Decode(line, b.MaxEventBytes)
	if err != nil {
		return messaging.Receipt{}, err
	}
	id, body := envelope.ID, line
	if id == "" {
		id = nuid.Next()
		if body, err = withID(line, id); err != nil {
			return messaging.Receipt{}, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, b.Timeout)
	defer cancel()
	return publisher.Publish(ctx, id, body)
}

// withID adds an id to an envelope and leaves every other field as it was.
func withID(body []byte, id string) ([]byte, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		return nil, fmt.Errorf("add an id: %w", err)
	}
	fields["id"], _ = json.Marshal(id) // a string always encodes
	return json.Marshal(fields)
}
