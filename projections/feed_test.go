package projections_test

import (
	"bytes"
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

// feed is a log in memory.
type feed struct {
	records []messaging.Record
	maxSize int // of a batch; zero leaves it to the consumer
	// begun says that the consumers have had something acknowledged before.
	begun bool
	// failures counts the batches that were offered in vain.
	failures atomic.Int64
	pending  atomic.Int64  // consumers that have records left
	applied  chan struct{} // closed when both have none
}

func newFeed(records ...messaging.Record) *feed {
	f := &feed{records: records, applied: make(chan struct{})}
	f.pending.Store(2)
	return f
}

func (f *feed) ConsumerFresh(context.Context, string) (bool, error) { return !f.begun, nil }

func (f *feed) Consume(
	ctx context.Context, _ string, maxBatch int, apply func(context.Context, []messaging.Record) error,
) error {
	if f.maxSize > 0 {
		maxBatch = min(maxBatch, f.maxSize)
	}
	for rest := f.records; len(rest) > 0; {
		batch := rest[:min(maxBatch, len(rest))]
		if err := apply(ctx, batch); err != nil {
			f.failures.Add(1)
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(20 * time.Millisecond): // as the log backs off
			}
			continue
		}
		rest = rest[len(batch):]
	}
	if f.pending.Add(-1) == 0 {
		close(f.applied)
	}
	<-ctx.Done()
	return ctx.Err()
}

// logLines collects what is logged. The mutex guards text.
type logLines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logLines) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *logLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
