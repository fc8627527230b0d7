package ingest

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/letswriteabook/realtime/internal/contain"
	"github.com/letswriteabook/realtime/internal/outage"
	"github.com/letswriteabook/realtime/messaging"
)

// receiptBatch is the number of receipts in one pipeline to Redis.
const receiptBatch = 128

// receipts publishes receipts and refusals without delaying an append: many goroutines fill
// its queue and one empties it. Receipts that do not fit into the queue, or that Redis does
// not accept, are counted and dropped; the producer publishes the event again and is
// answered as a duplicate.
type receipts struct {
	client   *redis.Client
	key      *atomic.Pointer[messaging.ReceiptKey] // of the ingest
	queue    chan outgoing
	timeout  time.Duration
	canaries *canaries
	logger   *slog.Logger
	metrics  *metrics
	guard    *contain.Guard

	// dropping logs outages in which receipts are dropped, which end when the queue is empty.
	// failing logs outages in which batches cannot be published.
	dropping, failing *outage.Book
}

// outgoing is a message for the receipts channel. canary is the text of the canary that it
// answers; empty for the receipt of an event.
type outgoing struct {
	message []byte
	canary  string
}

// newReceipts returns a publisher with a client of its own that does not retry and respects
// deadlines; run closes the client.
func newReceipts(options *redis.Options, key *atomic.Pointer[messaging.ReceiptKey], canaries *canaries, cfg Config, logger *slog.Logger, m *metrics, guard *contain.Guard) *receipts {
	own := connectOptions(options)
	own.MaxRetries = -1
	own.PoolSize = 1
	own.MinIdleConns = 0
	own.MaxIdleConns = 1
	own.MaxActiveConns = 0
	return &receipts{
		client:   redis.NewClient(own),
		key:      key,
		queue:    make(chan outgoing, cfg.MaxPendingReceipts),
		timeout:  cfg.ReceiptTimeout,
		canaries: canaries,
		logger:   logger,
		metrics:  m,
		guard:    guard,
		dropping: outage.NewBook(logger, slog.LevelWarn, "receipts are dropped because Redis takes them too slowly; producers will repeat", "receipts are no longer dropped"),
		failing:  outage.NewBook(logger, slog.LevelWarn, "receipts cannot be published; producers repeat", "receipts are published again"),
	}
}

// offer queues a receipt; see enqueue.
func (r *receipts) offer(receipt messaging.Receipt) {
	message, err := r.key.Load().Encode(receipt)
	r.enqueue(receipt.JobID, message, err)
}

// offerRefusal queues a refusal; see enqueue.
func (r *receipts) offerRefusal(refusal messaging.Refusal) {
	message, err := r.key.Load().EncodeRefusal(refusal)
	r.enqueue(refusal.JobID, message, err)
}

// offerCanary queues the answer to a canary. It returns false if the queue is full.
func (r *receipts) offerCanary(text string) bool {
	select {
	case r.queue <- outgoing{message: []byte(canaryMessage(text)), canary: text}:
		return true
	default:
		return false
	}
}

// enqueue queues a message, or drops it if the queue is full. It does not wait, and must
// not be called after close.
func (r *receipts) enqueue(jobID string, message []byte, err error) {
	if err == nil {
		select {
		case r.queue <- outgoing{message: message}:
			return
		default:
		}
	}
	r.metrics.receiptsDropped.Inc()
	r.dropping.Failed(err, "job", jobID)
}

// close makes run return after it has published the queued messages.
func (r *receipts) close() { close(r.queue) }

// run publishes until close was called and the queue is empty. If ctx ends first, the
// remaining messages fail at once.
func (r *receipts) run(ctx context.Context) {
	defer func() { _ = r.client.Close() }()
	// A paused Redis blocks a write until the write's timeout; closing the client ends the
	// write now.
	stop := context.AfterFunc(ctx, func() { _ = r.client.Close() })
	defer stop()

	batch := make([]outgoing, 0, receiptBatch)
	for next := range r.queue {
		batch = append(batch[:0], next)
		for more := true; more && len(batch) < receiptBatch; {
			select {
			case next, more = <-r.queue:
				if more {
					batch = append(batch, next)
				}
			default:
				more = false
			}
		}
		_ = r.guard.Do("receipts", func() error { r.publish(ctx, batch); return nil }) // producers publish again
	}
}

// publish sends a batch in one round trip.
func (r *receipts) publish(ctx context.Context, batch []outgoing) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	commands, err := r.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for _, one := range batch {
			pipe.Publish(ctx, messaging.ReceiptsChannel, one.message)
		}
		return nil
	})
	sent, receipts := 0, 0
	for n, one := range batch {
		taken := n < len(commands) && commands[n].Err() == nil
		if one.canary != "" {
			if r.canaries.answered(one.canary, taken); taken {
				r.metrics.passedMessages.Add(1)
			}
			continue
		}
		receipts++
		if taken {
			sent++
		}
	}
	r.canaries.pass(stageAnswered, sent)
	r.metrics.sent(sent)
	r.metrics.receiptsFailed.Add(float64(receipts - sent))
	if receipts > 0 { // The outcome of canaries alone is not that of receipts.
		r.failing.Note(err, "receipts", receipts-sent)
	}
	if err == nil && len(r.queue) == 0 {
		r.dropping.Worked()
	}
}
