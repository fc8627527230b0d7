package eventstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/letswriteabook/realtime/eventstore/internal/layout"
	"github.com/letswriteabook/realtime/messaging"
)

// ErrReadersStalled is matched when the log works, and what reads it hands nothing on. A restart of
// the gateway helps if the cause is in the gateway.
var ErrReadersStalled = errors.New("records are not handed on")

// liveCanaryToken begins a token below novel.live that no job has: a job's token has an
// upper-case hexadecimal number after each "=".
const liveCanaryToken = "=canary-"

// tailCanary takes the path of live records through each shard of a tail without being one:
// it is published below novel.live, as the stream does, and handed to the follower as a
// record without a job.
type tailCanary struct {
	prefix string // of the subjects; the number of the shard follows
	subs   []*nats.Subscription
	// handed counts what each shard has handed to the follower.
	handed []atomic.Uint64

	mu   sync.Mutex // guards the fields below
	text string     // empty while there is no exercise
	// left are the shards through which the canary has not come yet, and done is closed
	// when there are none.
	left map[int]bool
	done chan struct{}
}

func newTailCanary(shards int) *tailCanary {
	name := nats.NewInbox()[len(nats.InboxPrefix):]
	return &tailCanary{prefix: layout.LivePrefix + liveCanaryToken + name + "-", handed: make([]atomic.Uint64, shards)}
}

// subscribe makes one subscription for each shard. The client makes them again after each
// reconnect.
func (c *tailCanary) subscribe(conn *nats.Conn, shards []chan *nats.Msg) error {
	for n, shard := range shards {
		sub, err := conn.ChanSubscribe(c.prefix+strconv.Itoa(n), shard)
		if err != nil {
			return fmt.Errorf("subscribe to %s: %w", layout.LivePrefix, err)
		}
		c.subs = append(c.subs, sub)
	}
	return nil
}

func (c *tailCanary) unsubscribe() {
	for _, sub := range c.subs {
		_ = sub.Unsubscribe() // Fails only without a connection, and then it is gone.
	}
}

// is reports whether a message is a canary's.
func (c *tailCanary) is(msg *nats.Msg) bool { return strings.HasPrefix(msg.Subject, c.prefix) }

// launch begins an exercise.
func (c *tailCanary) launch(text string) (done <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.text, c.left, c.done = text, make(map[int]bool), make(chan struct{})
	for n := range c.handed {
		c.left[n] = true
	}
	return c.done
}

// arrive notes that a shard has handed on a canary.
func (c *tailCanary) arrive(shard int, text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if text != c.text || !c.left[shard] {
		return
	}
	if delete(c.left, shard); len(c.left) == 0 {
		close(c.done)
	}
}

// land ends the exercise, and returns the shards through which the canary has not come.
func (c *tailCanary) land() (left map[int]bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	left, c.text, c.left = c.left, "", nil
	return left
}

// Exercise sends a canary on the path of live records through each shard to the follower. It
// returns nil, or an error that is [ErrReadersStalled] when the canary did not arrive within timeout
// and its shard has handed on nothing else meanwhile. It does not judge NATS: it returns nil where
// NATS does not take the canary, and before and after [Tail.Run]. text is new each time. Only
// one call at a time is allowed.
func (t *Tail) Exercise(ctx context.Context, text string, timeout time.Duration) error {
	if !t.running.Load() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	before := make([]uint64, len(t.shards))
	for n := range before {
		before[n] = t.canary.handed[n].Load()
	}
	done := t.canary.launch(text)
	for n := range t.shards {
		if t.log.client.Conn.Publish(t.canary.prefix+strconv.Itoa(n), []byte(text)) != nil {
			t.canary.land()
			return nil
		}
	}
	select {
	case <-done:
	case <-ctx.Done():
	}
	stalled, waiting := 0, 0
	for n := range t.canary.land() {
		if t.canary.handed[n].Load() == before[n] {
			stalled, waiting = stalled+1, waiting+len(t.shards[n])
		}
	}
	switch {
	case stalled == 0, errors.Is(ctx.Err(), context.Canceled), !t.running.Load(), t.log.connected() != nil:
		return nil
	case waiting > 0:
		return fmt.Errorf("%w: %d of %d queues of the live tail are stalled, and %d messages wait in them", ErrReadersStalled, stalled, len(t.shards), waiting)
	}
	return fmt.Errorf("%w: what NATS takes for novel.live does not arrive in %d of %d queues of the live tail", ErrReadersStalled, stalled, len(t.shards))
}

// exercised hands a canary to the follower, in the turn of the records of its shard.
func (t *Tail) exercised(shard int, msg *nats.Msg, f Follower) {
	f.Live(messaging.Live{})
	t.canary.arrive(shard, string(msg.Data))
}
