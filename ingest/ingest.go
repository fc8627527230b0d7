package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"golang.org/x/time/rate"

	"github.com/letswriteabook/realtime/internal/contain"
	"github.com/letswriteabook/realtime/messaging"
)

// ErrAbandoned is returned by [Ingest.Run] if the time to drain ended before all events
// read from Redis were in the log. They had no receipt, so producers that wait for receipts
// publish them again; the other events are lost unless another gateway has stored them.
// Events received over HTTP are not counted: their producers get an answer.
var ErrAbandoned = errors.New("events were received from Redis but not stored")

// logInterval is the minimum time between two log lines about the same repeated failure.
const logInterval = 10 * time.Second

// errRunTwice is returned by a second call of [Ingest.Run].
var errRunTwice = errors.New("ingest: Run was called before")

// Ingest takes events from Redis and over HTTP and stores them in the log. Its
// methods may be called from any goroutine.
type Ingest struct {
	redis     *redis.Options // nil without Redis
	log       Log
	catalogue *messaging.Catalogue
	cfg       Config
	logger    *slog.Logger
	metrics   *metrics
	guard     *contain.Guard
	tracer    Tracer // nil without traces

	outages    *outages // nil without Redis
	budget     *budget
	identities *identities
	receipts   *receipts // nil without Redis
	receiptKey atomic.Pointer[messaging.ReceiptKey]
	requests   *requests

	started atomic.Bool
	// begun is closed when Run accepts events.
	begun chan struct{}
	queue *queue
	// abandoned counts the events that were given up; abandonedFor is the cause of one of
	// them.
	abandoned    atomic.Int64
	abandonedFor atomic.Pointer[error]
	letters      *letters
	canaries     *canaries

	// headFailures counts failed reads of the head of the log.
	headFailures failures

	rejectLog   rate.Sometimes
	pressureLog rate.Sometimes
}

// New returns an Ingest that reads the Redis of client, on connections of its own with
// client's options, and serves [Ingest.ServePublish]. With a nil client it only serves. New
// does not connect; Run does. It fails if the configuration is invalid, or if registerer
// has an Ingest already.
func New(client *redis.Client, log Log, catalogue *messaging.Catalogue, cfg Config, logger *slog.Logger, registerer prometheus.Registerer) (*Ingest, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	i := &Ingest{
		log:         log,
		catalogue:   catalogue,
		cfg:         cfg,
		logger:      logger,
		begun:       make(chan struct{}),
		queue:       newQueue(),
		identities:  newIdentities(cfg.DedupWindow, cfg.MaxIdentities),
		requests:    &requests{maxRequests: cfg.MaxPublishRequests, maxBytes: cfg.MaxPublishBytes},
		canaries:    newCanaries(),
		rejectLog:   rate.Sometimes{Interval: logInterval},
		pressureLog: rate.Sometimes{Interval: logInterval},
	}
	i.SetReceiptSecret(cfg.ReceiptSecret)
	if client != nil {
		i.redis, i.outages = client.Options(), &outages{}
	}
	i.budget = newBudget(cfg.MaxPendingEvents, cfg.MaxPendingBytes, i.full)
	i.letters = newLetters(cfg)
	m, err := newMetrics(registerer, i.budget, i.letters, i.requests, i.outages)
	if err != nil {
		return nil, fmt.Errorf("ingest: %w", err)
	}
	i.metrics, i.guard = m, contain.New(m.panics, logger)
	return i, nil
}

// SetReceiptSecret replaces Config.ReceiptSecret for later receipts.
func (i *Ingest) SetReceiptSecret(secret string) {
	key := messaging.ReceiptKey(secret)
	i.receiptKey.Store(&key)
}

// Run reads and stores events until ctx ends. Then it accepts no more, stores the events it
// has accepted, publishes their receipts and returns nil, or an error that is
// [ErrAbandoned] if this took longer than Config.DrainTimeout. An outage of Redis or of the
// log does not end Run. Run can be called once.
func (i *Ingest) Run(ctx context.Context) error {
	if i.started.Swap(true) {
		return errRunTwice
	}
	// Accepted events are stored after ctx has ended, until work ends.
	work, endWork := context.WithCancel(context.WithoutCancel(ctx))
	defer endWork()

	endReceipts := func() {}
	if i.redis != nil {
		endReceipts = i.startReceipts(work)
	}
	written := make(chan struct{})
	go func() { // ends after queue.close
		defer close(written)
		writer := &writer{Ingest: i, cost: newCost()}
		_ = i.guard.Persist(work, "writer", func() error { writer.run(work); return nil })
	}()
	close(i.begun)

	if i.redis != nil {
		_ = i.guard.Persist(ctx, "listener", func() error { i.listen(ctx); return nil })
	} else {
		<-ctx.Done()
	}
	deadline := time.AfterFunc(i.cfg.DrainTimeout, endWork)
	defer deadline.Stop()
	i.queue.close()
	<-written
	endReceipts()

	if abandoned := i.abandoned.Load(); abandoned > 0 {
		// Wrap the text only: the cause is context.Canceled, and callers must not match it.
		return fmt.Errorf("ingest: drain for %s: %d %w; first cause: %v", i.cfg.DrainTimeout, abandoned, ErrAbandoned, *i.abandonedFor.Load())
	}
	return nil
}

// startReceipts starts publishing receipts. end waits until all are published or ctx has
// ended.
func (i *Ingest) startReceipts(ctx context.Context) (end func()) {
	receipts := newReceipts(i.redis, &i.receiptKey, i.canaries, i.cfg, i.logger, i.metrics, i.guard)
	i.receipts = receipts
	published := make(chan struct{})
	go func() { // ends after receipts.close
		defer close(published)
		_ = i.guard.Do("receipts", func() error { receipts.run(ctx); return nil })
	}()
	return func() {
		receipts.close()
		<-published
	}
}

// listen reads Redis until ctx ends.
func (i *Ingest) listen(ctx context.Context) {
	census := newCensus(i.redis, i.cfg.ReceiptTimeout, i.metrics.passedMessages.Load)
	defer census.close()
	listener := &listener{
		options:  i.redis,
		log:      i.log,
		cfg:      i.cfg,
		logger:   i.logger,
		outages:  i.outages,
		census:   census,
		metrics:  i.metrics,
		guard:    i.guard,
		receive:  i.receive,
		canaries: i.canaries,
	}
	listener.run(ctx)
}

// Connected returns nil while events from Redis are received, and otherwise an error that
// is [ErrNotSubscribed] and states the cause. It detects a Redis that stops answering
// within Config.PingInterval + Config.PingTimeout. Without Redis it returns nil.
func (i *Ingest) Connected() error {
	if i.outages == nil {
		return nil
	}
	return i.outages.err()
}

// full logs that events wait for the log.
func (i *Ingest) full(events, bytes int) {
	i.pressureLog.Do(func() {
		i.logger.Warn("reading of events is paused until the log has stored the pending ones", "events", events, "bytes", bytes)
	})
}
