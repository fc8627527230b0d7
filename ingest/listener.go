package ingest

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/redis/go-redis/v9"

	"github.com/letswriteabook/realtime/internal/contain"
	"github.com/letswriteabook/realtime/internal/outage"
	"github.com/letswriteabook/realtime/internal/wait"
)

const (
	// lasting is the duration after which a subscription counts as healthy. One that ends
	// sooner does not reset the pauses.
	lasting = time.Second
	// backoffFactor is the ratio of one pause to the one before. With it the end of an
	// outage is detected after about half of the outage's length, and at most nine tenths.
	backoffFactor = 1.5
)

// listener keeps one subscription to the events channel open and passes on the messages.
// One goroutine runs it.
type listener struct {
	options *redis.Options
	log     Log
	cfg     Config
	logger  *slog.Logger
	outages *outages
	census  *census
	metrics *metrics
	guard   *contain.Guard
	// receive is called with each message in the order of arrival. The reader waits until it
	// returns.
	receive  func(ctx context.Context, message *redis.Message, via *connection)
	canaries *canaries
	// broken is why the last subscription ended; nil before the first.
	broken error
	// hinted is true once the hint on how to lose nothing in a gap was logged.
	hinted bool
	// attempts logs outages of subscribing, and gaps those of subscriptions that end soon
	// after one another. run sets both.
	attempts, gaps *outage.Book
}

// run subscribes until ctx ends, and subscribes again whenever the subscription ends.
//
// A healthy subscription that ends is replaced at once, because events are lost without
// one. A subscription that fails to begin, or ends soon, is tried again after a growing
// pause. The first pauses are short: a server that restarts is available again in less than
// a second.
func (l *listener) run(ctx context.Context) {
	pauses := backoff.ExponentialBackOff{
		InitialInterval:     l.cfg.BackoffMin,
		RandomizationFactor: 0.25,
		Multiplier:          backoffFactor,
		MaxInterval:         l.cfg.BackoffMax,
	}
	pauses.Reset()
	// The end of an outage has no line of its own in attempts: reportGap logs it.
	l.attempts = outage.NewBook(l.logger, slog.LevelInfo, "not subscribed to Redis, will try again", "")
	l.gaps = outage.NewBook(l.logger, slog.LevelWarn,
		"subscribed to Redis again; events published in between were not read, and are lost unless their producers wait for receipts",
		"the subscription to Redis lasts again")
	for {
		began := time.Now()
		confirmed, err := l.subscribe(ctx)
		if ctx.Err() != nil {
			return
		}
		var pause time.Duration
		if confirmed && time.Since(began) >= lasting {
			pauses.Reset()
		} else {
			pause = pauses.NextBackOff()
		}
		// A subscription that broke is replaced at once, and reportGap logs the cause then.
		if confirmed {
			l.broken = err
		} else {
			l.attempts.Failed(err, "pause", pause)
		}
		if wait.For(ctx, pause) != nil {
			return
		}
	}
}

// subscribe subscribes and reads until the subscription ends. It returns why it ended, and
// whether Redis had confirmed it.
func (l *listener) subscribe(ctx context.Context) (confirmed bool, err error) {
	connection := newConnection(l.options, l.log, l.canaries, l.cfg, l.logger)
	defer connection.release()
	// Closing the connection ends a read; ending the context does not.
	stop := context.AfterFunc(ctx, connection.close)
	defer stop()

	if err := connection.open(ctx); err != nil {
		l.outages.failed(err)
		return false, err
	}
	if len(l.census.counts) == 0 {
		l.census.take(ctx) // the messages published from now on are read or missed
	}
	if silent, gap := l.outages.opened(time.Now()); gap {
		l.reportGap(ctx, silent)
	} else {
		l.logger.Info("subscribed to Redis")
	}
	l.attempts.Worked()
	l.gaps.Worked()

	watching, stopWatching := context.WithCancel(ctx)
	var watchers sync.WaitGroup // both goroutines end with watching, and subscribe waits for them
	watchers.Go(func() {
		_ = l.guard.Persist(watching, "ping", func() error { connection.ping(watching); return nil })
	})
	watchers.Go(func() {
		_ = l.guard.Persist(watching, "census", func() error { l.census.follow(watching, l.cfg.PingInterval); return nil })
	})
	err = l.read(ctx, connection)
	stopWatching()
	connection.close() // a ping may be in the middle of a write
	watchers.Wait()
	l.outages.lost(connection.lastReceived, err)
	return true, err
}

// reportGap counts the messages that may have been lost between two subscriptions, and logs
// the first of several gaps that follow one another.
func (l *listener) reportGap(ctx context.Context, silent time.Duration) {
	attrs := []any{"outage", silent}
	if missed, known := l.census.missed(ctx); known {
		l.metrics.gapMessages.Add(float64(missed))
		attrs = append(attrs, "missedAtMost", missed)
	}
	if !l.hinted {
		l.hinted = true
		attrs = append(attrs, "hint", "give each event an id and publish it again until its receipt arrives")
	}
	l.gaps.Failed(l.broken, attrs...)
}

// read passes messages to receive until the subscription ends.
func (l *listener) read(ctx context.Context, c *connection) error {
	for {
		message, err := c.receive(ctx)
		if err != nil {
			return err
		}
		l.receive(ctx, message, c)
		if ctx.Err() != nil {
			return fmt.Errorf("receive from Redis: %w", context.Cause(ctx))
		}
	}
}
