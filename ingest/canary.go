package ingest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/letswriteabook/realtime/messaging"
)

const (
	// canaryChannel is where every gateway reads canaries, and canaryChannel with a dot and
	// the name of a process is where that process alone does.
	canaryChannel = "novel.realtime.canary"
	// maxCanaries bounds the canaries of this process that wait for the log or for Redis.
	// Further ones are dropped.
	maxCanaries = 4
	// canaryKey is the key of the canaries' queue, which no jobId is.
	canaryKey = "\x00canary"
	// standing is for how long the write of an event may be under way, while the log takes
	// others, before it counts as standing. One attempt and the pause after it take less.
	standing = 10 * time.Second
)

// ErrStands is matched when the ingest has what it needs, and hands nothing on. A restart
// of the gateway helps where the cause is in the gateway.
var ErrStands = errors.New("events are not handed on")

// canaryText is what a canary may be: it needs no escaping anywhere.
var canaryText = regexp.MustCompile(`^[A-Za-z0-9-]{1,128}$`)

// stage is how far a canary has come.
type stage int32

const (
	stagePublished stage = iota
	stageRead
	stageStored
	stageAnswered
)

// canaries are messages that take the way of the events, and are none: from a channel of
// their own over the subscription of the events, through the budget, the queue and the
// writer into the log's identity stream, and back to Redis through the queue of receipts.
// They are no record of a job, and have no dead letter.
type canaries struct {
	// name is that of this process on its own channel.
	name string
	// refused says that Redis does not allow the subscription to the channels.
	refused atomic.Bool
	// passed counts what has passed each stage, events and canaries.
	passed [stageAnswered + 1]atomic.Uint64

	mu sync.Mutex // guards the fields below
	// waiting counts the canaries that were read and have not ended.
	waiting int
	// own is the canary of [Ingest.Exercise] that is under way, empty without one; reached
	// is its stage, and failure why it could not be stored.
	own     string
	reached stage
	failure error
}

func newCanaries() *canaries { return &canaries{name: rand.Text()} }

// channels returns where canaries for this process are published.
func (c *canaries) channels() []string { return []string{canaryChannel, c.ownChannel()} }

func (c *canaries) ownChannel() string { return canaryChannel + "." + c.name }

// canaryMessage returns what is published on the channel of receipts for a canary.
func canaryMessage(text string) string { return `{"canary":"` + text + `"}` }

// begin takes room for a canary that was read; end gives it back.
func (c *canaries) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting == maxCanaries {
		return false
	}
	c.waiting++
	return true
}

func (c *canaries) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting--
}

// pass counts events or canaries that have passed a stage.
func (c *canaries) pass(s stage, count int) { c.passed[s].Add(uint64(count)) }

// reach notes the stage of a canary, if it is the one of this process.
func (c *canaries) reach(text string, s stage, failure error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if text == c.own {
		c.reached, c.failure = s, failure
	}
}

// launch makes a canary the one of this process, and returns how much has passed each stage.
func (c *canaries) launch(text string) (passed [stageAnswered + 1]uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.own, c.reached, c.failure = text, stagePublished, nil
	for s := range passed {
		passed[s] = c.passed[s].Load()
	}
	return passed
}

// landed returns how far the canary of this process has come, and ends it.
func (c *canaries) landed() (stage, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.own = ""
	return c.reached, c.failure
}

// receiveCanary takes a canary that Redis delivered on the way of the events.
func (i *Ingest) receiveCanary(ctx context.Context, text string) {
	i.metrics.passedMessages.Add(1)
	if !canaryText.MatchString(text) || !i.canaries.begin() {
		return
	}
	e := &event{canary: text, budget: i.budget, sizeBytes: len(text)}
	if !i.budget.take(ctx, e.sizeBytes) {
		i.budget.force(e.sizeBytes) // as for an event
	}
	i.canaries.pass(stageRead, 1)
	i.canaries.reach(text, stageRead, nil)
	// Not refused: the queue is closed after the reader has stopped.
	i.queue.add(canaryKey, e)
}

// storeCanary stores a canary, and has its answer published. A log that does not take it is
// named where the log is exercised.
func (i *Ingest) storeCanary(ctx context.Context, text string) {
	answered := false // or will be
	defer func() {
		if !answered {
			i.canaries.end()
		}
	}()
	if err := i.log.StoreCanary(ctx, text); err != nil {
		i.canaries.reach(text, stageRead, err)
		return
	}
	i.canaries.pass(stageStored, 1)
	i.canaries.reach(text, stageStored, nil)
	if i.standsFor() >= standing { // No answer: the ingest does not do what is needed.
		return
	}
	answered = i.receipts.offerCanary(text)
}

// answered ends a canary whose answer Redis has taken, or refused.
func (c *canaries) answered(text string, taken bool) {
	c.end()
	if taken {
		c.reach(text, stageAnswered, nil)
	}
}

// Exercise sends a canary the way of the events, from Redis to the log, and its answer the
// way of the receipts; and it looks at the writes that are under way. It returns nil, or an
// error that is [ErrStands] and says where the ingest stands still. It judges neither Redis
// nor the log, which have exercises of their own: where they do not let the canary pass, and
// while the gateway is not subscribed, it returns nil. Neither does it complain of an ingest
// that is slow: something has to have passed the stage meanwhile.
//
// text is new each time; well is for how long Redis and the log have passed their exercises.
// It returns soon after ctx or timeout. Only one call at a time is allowed.
func (i *Ingest) Exercise(ctx context.Context, text string, well, timeout time.Duration) error {
	if waited := i.standsFor(); waited >= standing && well >= standing {
		return fmt.Errorf("%w: the write of an event is under way for %s, and the log takes others: %s", ErrStands, waited.Round(time.Second), restart)
	}
	select {
	case <-i.begun:
	default:
		return nil
	}
	if i.redis == nil || i.Connected() != nil || i.canaries.refused.Load() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	probe := newProbeClient(ctx, i.redis, timeout)
	defer probe.close()
	if probe.subscribe(ctx, messaging.ReceiptsChannel) != nil {
		return nil
	}
	before := i.canaries.launch(text)
	if probe.client.Publish(ctx, i.canaries.ownChannel(), text).Err() != nil {
		return nil
	}
	returned := probe.await(ctx, canaryMessage(text)) == nil
	reached, failure := i.canaries.landed()
	if returned || failure != nil || errors.Is(ctx.Err(), context.Canceled) || i.Connected() != nil || i.queue.isClosed() {
		return nil
	}
	return i.stands(reached, before)
}

// restart is what to do about an ingest that stands still.
const restart = "restart the gateway, and see the permissions of its NATS user"

// standsFor returns for how long the oldest write of an event is under way.
func (i *Ingest) standsFor() time.Duration {
	since := i.queue.longest()
	if since.IsZero() {
		return 0
	}
	return time.Since(since)
}

// stands returns where a canary was held up, unless something else has passed there since it
// was published.
func (i *Ingest) stands(reached stage, before [stageAnswered + 1]uint64) error {
	passed := func(s stage) bool { return i.canaries.passed[s].Load() != before[s] }
	pending, _ := i.budget.pending()
	switch {
	case reached == stagePublished && i.budget.full(): // The reading waits for the log.
		reached = stageRead
	case reached == stagePublished && passed(stageRead), reached == stageStored && passed(stageAnswered):
		return nil
	}
	switch {
	case reached == stagePublished:
		return fmt.Errorf("%w: what is published in Redis is not read, although the subscription was confirmed: %s", ErrStands, restart)
	case reached == stageRead && passed(stageStored):
		return nil
	case reached == stageRead:
		return fmt.Errorf("%w: %d events were read and are not written to the log, which takes others: %s", ErrStands, pending, restart)
	case reached == stageStored:
		return fmt.Errorf("%w: receipts are not published, although Redis takes them: %s", ErrStands, restart)
	}
	return nil // Redis took the answer, and has its own exercise.
}

// ExerciseGateways sends a canary to every gateway that reads events from a Redis, and
// returns to how many Redis has delivered it, and how many have handed it on to the log and
// answered. Redis counts a gateway of an earlier version among neither. It returns within
// ctx or timeout. text is new each time; options are those of a client.
func ExerciseGateways(ctx context.Context, options *redis.Options, text string, timeout time.Duration) (delivered, answered int, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	probe := newProbeClient(ctx, options, timeout)
	defer probe.close()
	if err := probe.subscribe(ctx, messaging.ReceiptsChannel); err != nil {
		return 0, 0, refusedAs(ErrReceipts, err)
	}
	count, err := probe.client.Publish(ctx, canaryChannel, text).Result()
	if err != nil {
		return 0, 0, fmt.Errorf("publish on %s: %w", canaryChannel, err)
	}
	for delivered = int(count); answered < delivered; answered++ {
		if probe.await(ctx, canaryMessage(text)) != nil {
			break
		}
	}
	return delivered, answered, nil
}
