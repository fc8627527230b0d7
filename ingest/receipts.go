package ingest

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/letswriteabook/realtime/internal/contain"
	"github.com/letswriteabook/realtime/messaging"
)

// receiptBatch is how many receipts go to Redis in one pipeline.
const receiptBatch = 128

// receipts publishes receipts and refusals without ever holding up an append: a
// queue that many goroutines fill and one empties. What does not fit into the queue,
// or what Redis does not take, is counted and given up; the producer publishes
// the event again and is answered as a duplicate.
type receipts struct {
	client   *redis.Client
	key      *atomic.Pointer[messaging.ReceiptKey] // of the ingest
	queue    chan outgoing
	timeout  time.Duration
	canaries *canaries
	logger   *slog.Logger
	metrics  *metrics
	guard    *contain.Guard

	// dropped counts the receipts that were dropped since the queue was empty, which is
	// logged once.
	dropped atomic.Uint64
	// failing says that the last batch could not be published, which is logged once.
	// It belongs to run.
	failing bool
}

// outgoing is a message of the receipts channel, and the text of the canary that it answers;
// empty for an event's.
type outgoing struct {
	message []byte
	canary  string
}

// newReceipts returns a publisher with a client of its own, which does not
// retry and keeps to deadlines; run closes it.
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

// offerCanary queues the answer to a canary, and reports false when the queue is full.
func (r *receipts) offerCanary(text string) bool {
	select {
	case r.queue <- outgoing{message: []byte(canaryMessage(text)), canary: text}:
		return true
	default:
		return false
	}
}

// enqueue queues a message, or drops it when the queue is full. It never waits,
// and must not be called after close.
func (r *receipts) enqueue(jobID string, message []byte, err error) {
	if err == nil {
		select {
		case r.queue <- outgoing{message: message}:
			return
		default:
		}
	}
	r.metrics.receiptsDropped.Inc()
	if r.dropped.Add(1) == 1 {
		r.logger.Warn("receipts are dropped because Redis takes them too slowly; producers will repeat", "job", jobID, "error", err)
	}
}

// close lets run end after it has published what is queued.
func (r *receipts) close() { close(r.queue) }

// run publishes until close is called and the queue is empty. When ctx ends
// before that, the rest fails at once.
func (r *receipts) run(ctx context.Context) {
	defer func() { _ = r.client.Close() }()
	// A paused Redis holds a write until its own timeout; closing ends it now.
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
		_ = r.guard.Do("receipts", func() error { r.publish(ctx, batch); return nil }) // producers repeat
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
	switch {
	case receipts == 0: // Canaries say nothing of receipts.
	case err != nil && !r.failing:
		r.logger.Warn("receipts cannot be published; producers repeat", "receipts", receipts-sent, "error", err)
		r.failing = true
	case err == nil && r.failing:
		r.logger.Info("receipts are published again")
		r.failing = false
	}
	if !r.failing && len(r.queue) == 0 {
		if dropped := r.dropped.Swap(0); dropped > 0 {
			r.logger.Info("receipts are no longer dropped", "dropped", dropped)
		}
	}
}
