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
	// canaryChannel is the channel on which every gateway reads canaries. A process also
	// reads them on a channel of its own: canaryChannel, a dot and its name.
	canaryChannel = "novel.realtime.canary"
	// maxCanaries bounds the canaries in this process that wait for the log or for Redis.
	// Further ones are dropped.
	maxCanaries = 4
	// canaryKey is the key of the canaries' queue. It cannot be a jobId.
	canaryKey = "\x00canary"
	// stallTime is how long the write of an event may take, while the log accepts other
	// writes, before the write counts as stalled. One attempt and the pause after it take
	// less.
	stallTime = 10 * time.Second
)

// ErrStalled is returned by [Ingest.Exercise] when Redis and the log work, and events do not
// get from one to the other. A restart of the gateway helps if the cause is in the gateway.
var ErrStalled = errors.New("events are not handed on")

// canaryText matches the text of a canary, which needs no escaping anywhere.
var canaryText = regexp.MustCompile(`^[A-Za-z0-9-]{1,128}$`)

// stage is a stage that a canary passes.
type stage int32

const (
	stagePublished stage = iota
	stageRead
	stageStored
	stageAnswered
)

// canaries are messages that take the same path as events without being events: they arrive
// on channels of their own over the subscription of the events, pass the budget, the queue
// and the writer into the log's identity stream, and are answered in Redis through the
// queue of receipts. A canary is not a record of a job and never becomes a dead letter.
type canaries struct {
	// name is the name of this process in its own channel.
	name string
	// refused is true if Redis does not allow the subscription to the channels.
	refused atomic.Bool
	// passed counts the events and canaries that have passed each stage.
	passed [stageAnswered + 1]atomic.Uint64

	mu sync.Mutex // guards the fields below
	// waiting counts the canaries that were read and are not finished.
	waiting int
	// own is the canary that [Ingest.Exercise] has sent; empty if none is under way. reached
	// is its stage, and failure is why it could not be stored.
	own     string
	reached stage
	failure error
}

func newCanaries() *canaries { return &canaries{name: rand.Text()} }

// channels returns the channels on which canaries for this process are published.
func (c *canaries) channels() []string { return []string{canaryChannel, c.ownChannel()} }

func (c *canaries) ownChannel() string { return canaryChannel + "." + c.name }

// canaryMessage returns the message that answers a canary on the channel of receipts.
func canaryMessage(text string) string { return `{"canary":"` + text + `"}` }

// begin reserves a place for a canary that was read. It returns false if there is none; end
// releases the place.
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

// pass counts events or canaries that have passed stage s.
func (c *canaries) pass(s stage, count int) { c.passed[s].Add(uint64(count)) }

// reach records the stage of a canary if this process has sent it.
func (c *canaries) reach(text string, s stage, failure error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if text == c.own {
		c.reached, c.failure = s, failure
	}
}

// launch registers a canary of this process, and returns how many messages have passed each
// stage.
func (c *canaries) launch(text string) (passed [stageAnswered + 1]uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.own, c.reached, c.failure = text, stagePublished, nil
	for s := range passed {
		passed[s] = c.passed[s].Load()
	}
	return passed
}

// landed returns the stage that the canary of this process has reached, and unregisters it.
func (c *canaries) landed() (stage, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.own = ""
	return c.reached, c.failure
}

// receiveCanary queues a canary that Redis has delivered.
func (i *Ingest) receiveCanary(ctx context.Context, text string) {
	i.metrics.passedMessages.Add(1)
	if !canaryText.MatchString(text) || !i.canaries.begin() {
		return
	}
	e := &event{canary: text, budget: i.budget, sizeBytes: len(text)}
	if !i.budget.take(ctx, e.sizeBytes) {
		i.budget.force(e.sizeBytes) // the canary was read already, as in receive
	}
	i.canaries.pass(stageRead, 1)
	i.canaries.reach(text, stageRead, nil)
	// add succeeds: the queue is closed only after the reader has stopped.
	i.queue.add(canaryKey, e)
}

// storeCanary stores a canary and queues its answer. It does not report a failure of the
// log: the exercise of the log does.
func (i *Ingest) storeCanary(ctx context.Context, text string) {
	answered := false // true once the answer is queued, which then ends the canary
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
	if i.stalledFor() >= stallTime { // A stalled ingest does not answer.
		return
	}
	answered = i.receipts.offerCanary(text)
}

// errNotTaken is the failure of a canary whose answer Redis has not accepted.
var errNotTaken = errors.New("redis has not accepted the answer")

// answered ends a canary. taken says whether Redis has accepted its answer. If it has not,
// the canary was not held up in this process: its connection may have ended with a Redis
// that has restarted meanwhile.
func (c *canaries) answered(text string, taken bool) {
	c.end()
	if taken {
		c.reach(text, stageAnswered, nil)
	} else {
		c.reach(text, stageStored, errNotTaken)
	}
}

// Exercise sends a canary from Redis to the log and waits for its answer, and looks for
// writes that are stalled. It returns nil, or an error that is [ErrStalled] and names the
// stage that does not pass messages on. Redis and the log have exercises of their own: if
// one of them does not pass the canary on, or the gateway is not subscribed, Exercise
// returns nil. It also returns nil for an ingest that is only slow, in which other messages
// have passed the stage meanwhile, and while appends wait for the log; see [Log.Waits].
//
// text must be new each time; well is how long Redis and the log have passed their
// exercises. Exercise returns soon after ctx or timeout ends. Only one call at a time is
// allowed.
func (i *Ingest) Exercise(ctx context.Context, text string, well, timeout time.Duration) error {
	if i.log.Waits() {
		return nil
	}
	if waited := i.stalledFor(); waited >= stallTime && well >= stallTime {
		return fmt.Errorf("%w: the write of an event is under way for %s, and the log takes others: %s", ErrStalled, waited.Round(time.Second), restart)
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
	if returned || failure != nil || errors.Is(ctx.Err(), context.Canceled) || i.Connected() != nil || i.queue.isClosed() || i.log.Waits() {
		return nil
	}
	return i.stalled(reached, before)
}

// restart is the remedy for a stalled ingest.
const restart = "restart the gateway, and see the permissions of its NATS user"

// stalledFor returns how long the oldest write of an event has been under way; 0 while appends
// wait for the log.
func (i *Ingest) stalledFor() time.Duration {
	since := i.queue.longest()
	if since.IsZero() || i.log.Waits() {
		return 0
	}
	return time.Since(since)
}

// stalled returns an error for the stage at which a canary is held up, or nil if other
// messages have passed the stage since the canary was published.
func (i *Ingest) stalled(reached stage, before [stageAnswered + 1]uint64) error {
	passed := func(s stage) bool { return i.canaries.passed[s].Load() != before[s] }
	pending, _ := i.budget.pending()
	switch {
	case reached == stagePublished && i.budget.full(): // The reader waits for the log.
		reached = stageRead
	case reached == stagePublished && passed(stageRead), reached == stageStored && passed(stageAnswered):
		return nil
	}
	switch {
	case reached == stagePublished:
		return fmt.Errorf("%w: the channel of events is not read, although the subscription was confirmed: %s", ErrStalled, restart)
	case reached == stageRead && passed(stageStored):
		return nil
	case reached == stageRead:
		return fmt.Errorf("%w: %d events were read and are not written to the log, which takes others: %s", ErrStalled, pending, restart)
	case reached == stageStored:
		return fmt.Errorf("%w: receipts are not published, although Redis takes them: %s", ErrStalled, restart)
	}
	return nil // Redis accepted the answer; the exercise of Redis judges the rest.
}

// ExerciseGateways sends a canary to every gateway that reads events from a Redis. It
// returns the number of gateways to which Redis has delivered the canary, and the number
// that have handed it to the log and answered. Gateways of versions without canaries are in
// neither number. text must be new each time; options are those of a client.
// ExerciseGateways returns when ctx or timeout ends at the latest.
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
