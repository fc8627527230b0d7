package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/letswriteabook/realtime/internal/redisdial"
	"github.com/letswriteabook/realtime/messaging"
	"github.com/letswriteabook/realtime/publisher"
)

// errRedisURL is returned for an address that is no Redis URL. A retry does not
// help.
var errRedisURL = errors.New("want a Redis address such as redis://localhost:6379")

// Batch says how [PublishLines] publishes.
type Batch struct {
	Redis     redisdial.Config
	Catalogue *messaging.Catalogue
	// MaxEventBytes is the size of the largest envelope that the gateway accepts.
	MaxEventBytes int
	// ReceiptSecret is the gateways' RECEIPT_SECRET.
	ReceiptSecret string
	// Timeout is how long to wait for each receipt.
	Timeout time.Duration
}

// PublishLines publishes one envelope per line and writes each receipt as a line of
// JSON, in the order of the lines. It gives an envelope without an id a new one, so that
// the event is confirmed and stored once. A line that cannot be published or is not
// confirmed is reported to complaints with its number, and the lines after it are published
// nevertheless; the error then says how many lines were not stored.
func PublishLines(ctx context.Context, batch Batch, input io.Reader, receipts, complaints io.Writer) (err error) {
	servers, err := redisdial.New(batch.Redis, slog.New(slog.DiscardHandler))
	if err != nil {
		return errRedisURL
	}
	defer servers.Close()
	connection := redis.NewClient(servers.Options())
	defer connection.Close()
	if err := connection.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("connect to Redis: %w", err)
	}
	cfg := publisher.DefaultConfig()
	cfg.Catalogue, cfg.MaxEventBytes, cfg.DrainTimeout = batch.Catalogue, batch.MaxEventBytes, 0
	cfg.ReceiptSecret = batch.ReceiptSecret
	cfg.GiveUpAfter = batch.Timeout // Otherwise an unconfirmed event would block later lines of its job.
	cfg.MaxBytes = max(cfg.MaxBytes, 2*batch.MaxEventBytes)
	outbox, err := publisher.New(connection, cfg, nil)
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	var sending sync.WaitGroup
	sending.Go(func() { _ = outbox.Run(running) }) // stop ends it; each line reports its own failure
	defer sending.Wait()
	defer stop()
	return batch.each(ctx, outbox, input, receipts, complaints)
}

// each publishes line by line.
func (b Batch) each(ctx context.Context, outbox *publisher.Publisher, input io.Reader, receipts, complaints io.Writer) error {
	number, failed := 0, 0
	lines := newLineReader(input, b.MaxEventBytes)
	var ended error
	for ctx.Err() == nil {
		line, err := lines.next()
		if err != nil {
			ended = err
			break
		}
		number++
		if len(line) == 0 {
			continue
		}
		receipt, err := b.publish(ctx, outbox, line)
		if err != nil {
			failed++
			fmt.Fprintf(complaints, "line %d: %v\n", number, err)
			continue
		}
		if err := json.NewEncoder(receipts).Encode(receipt); err != nil {
			return fmt.Errorf("write the receipt of line %d: %w", number, err)
		}
	}
	if errors.Is(ended, io.EOF) {
		ended = nil
	}
	if err := errors.Join(ended, ctx.Err()); err != nil {
		return fmt.Errorf("after line %d: %w", number, err)
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d lines were not stored", failed, number)
	}
	return nil
}

// publish publishes one line and waits for its receipt.
func (b Batch) publish(ctx context.Context, outbox *publisher.Publisher, line []byte) (messaging.Receipt, error) {
	envelope, err := b.Catalogue.Decode(bytes.Clone(line), b.MaxEventBytes)
	if err != nil {
		return messaging.Receipt{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, b.Timeout)
	defer cancel()
	pending, err := outbox.Publish(ctx, envelope)
	if err != nil {
		return messaging.Receipt{}, err
	}
	receipt, err := pending.Wait(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("%w for id %q within %s", publisher.ErrUnconfirmed, pending.ID(), b.Timeout)
	}
	return receipt, err
}
