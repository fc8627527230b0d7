package gateway_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/fanout/gateway"
	"github.com/letswriteabook/realtime/fanout/hub"
	"github.com/letswriteabook/realtime/guardrails"
	"github.com/letswriteabook/realtime/messaging"
)

// valve holds up the calls of one method of a gateway's dependencies.
type valve struct {
	mu      sync.Mutex // guards the next three
	method  string
	open    chan struct{}
	panics  bool          // in place of holding up
	entered chan struct{} // signalled when a call is held up, or panics
}

// shut holds up a method from now on, until the test ends or release is called.
func (v *valve) shut(t *testing.T, method string) (release func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.method, v.open = method, make(chan struct{})
	release = sync.OnceFunc(func() { close(v.open) })
	t.Cleanup(release)
	return release
}

func (v *valve) pass(method string) {
	v.mu.Lock()
	held, open, panics := method == v.method, v.open, v.panics
	v.mu.Unlock()
	if !held {
		return
	}
	select {
	case v.entered <- struct{}{}:
	default:
	}
	if panics {
		panic("for the test")
	}
	<-open
}

// bomb makes a method panic from now on.
func (v *valve) bomb(method string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.method, v.panics = method, true
}

// The dependencies of a gateway, behind a valve.
type (
	valveLog struct {
		hub.Log
		valve *valve
	}
	valveTail struct {
		hub.Tail
		valve *valve
	}
	valveProjection struct {
		hub.Projection
		valve *valve
	}
	valveErasures struct {
		hub.Erasures
		valve *valve
	}
	valveTokens struct {
		gateway.Tokens
		valve *valve
	}
)

func (l valveLog) Extent(ctx context.Context) (messaging.Extent, error) {
	l.valve.pass("Log.Extent")
	return l.Log.Extent(ctx)
}

func (l valveLog) LastSequence(ctx context.Context, jobID string) (uint64, error) {
	l.valve.pass("Log.LastSequence")
	return l.Log.LastSequence(ctx, jobID)
}

func (l valveLog) LastSequenceFrom(ctx context.Context, jobID string, known uint64) (uint64, error) {
	l.valve.pass("Log.LastSequenceFrom")
	return l.Log.LastSequenceFrom(ctx, jobID, known)
}

func (l valveLog) LastSequences(ctx context.Context, jobIDs []string) (map[string]uint64, error) {
	l.valve.pass("Log.LastSequences")
	return l.Log.LastSequences(ctx, jobIDs)
}

func (l valveLog) ReadAfter(ctx context.Context, jobID string, after uint64, limit int) ([]messaging.Record, error) {
	l.valve.pass("Log.ReadAfter")
	return l.Log.ReadAfter(ctx, jobID, after, limit)
}

func (l valveLog) Locate(ctx context.Context, jobID string, before uint64, limit int) (messaging.Span, error) {
	l.valve.pass("Log.Locate")
	return l.Log.Locate(ctx, jobID, before, limit)
}

func (l valveTail) Follow(ctx context.Context, jobID string) error {
	l.valve.pass("Tail.Follow")
	return l.Tail.Follow(ctx, jobID)
}

func (l valveTail) Unfollow(jobID string) {
	l.valve.pass("Tail.Unfollow")
	l.Tail.Unfollow(jobID)
}

func (p valveProjection) FindLegacy(ctx context.Context, jobID string, limit int) ([]string, error) {
	p.valve.pass("Projection.FindLegacy")
	return p.Projection.FindLegacy(ctx, jobID, limit)
}

func (p valveProjection) ReadLegacy(ctx context.Context, jobID string, names []string) ([]messaging.Record, int, error) {
	p.valve.pass("Projection.ReadLegacy")
	return p.Projection.ReadLegacy(ctx, jobID, names)
}

func (p valveProjection) Locate(ctx context.Context, jobID string, before messaging.Position, limit int) (messaging.Span, error) {
	p.valve.pass("Projection.Locate")
	return p.Projection.Locate(ctx, jobID, before, limit)
}

func (p valveProjection) ReadAfter(ctx context.Context, jobID string, after messaging.Position, limit int) ([]messaging.Record, error) {
	p.valve.pass("Projection.ReadAfter")
	return p.Projection.ReadAfter(ctx, jobID, after, limit)
}

func (p valveProjection) Head(ctx context.Context, jobID string) (messaging.JobHead, bool, error) {
	p.valve.pass("Projection.Head")
	return p.Projection.Head(ctx, jobID)
}

func (e valveErasures) Erased(ctx context.Context, after uint64) ([]hub.Erasure, uint64, error) {
	e.valve.pass("Erasures.Erased")
	return e.Erasures.Erased(ctx, after)
}

func (b valveTokens) Grant(token string, now time.Time) (guardrails.Grant, guardrails.Decision) {
	b.valve.pass("Tokens.Grant")
	return b.Tokens.Grant(token, now)
}

// No lock is held while a dependency is called: with each of them in turn not
// returning, live events reach the clients that are connected, the page of metrics
// answers, and subscriptions begin and end.
func TestBlockedDependencyDelaysNoOtherClient(t *testing.T) {
	t.Parallel()
	subscribe := func(_ *stage, c *socketClient) { c.emit("subscribe", request{JobID: "a/fresh"}) }
	catchUp := func(_ *stage, c *socketClient) { c.emit("subscribe", request{JobID: "a/old"}) }
	resume := func(_ *stage, c *socketClient) { c.emit("subscribe", request{JobID: "a/old", Since: new(uint64)}) }
	tests := []struct {
		method    string
		withoutDB bool
		// provoke makes the gateway call the method, for the client's sake or not.
		provoke func(s *stage, c *socketClient)
		// all says that each new client and each change of a subscription needs the
		// method.
		all bool
	}{
		{method: "Tail.Follow", provoke: subscribe},
		{method: "Tail.Unfollow", provoke: func(s *stage, c *socketClient) {
			subscribe(s, c)
			c.emit("unsubscribe", request{JobID: "a/fresh"})
		}},
		{method: "Log.Extent", provoke: subscribe},
		{method: "Log.LastSequence", provoke: subscribe},
		{method: "Log.LastSequences", provoke: func(*stage, *socketClient) {}}, // the regular check calls it
		{method: "Log.ReadAfter", withoutDB: true, provoke: resume},
		{method: "Log.Locate", withoutDB: true, provoke: catchUp},
		{method: "Projection.ReadAfter", provoke: resume},
		{method: "Projection.Locate", provoke: catchUp},
		{method: "Projection.FindLegacy", provoke: resume},
		{method: "Projection.ReadLegacy", provoke: resume},
		{method: "Projection.Head", provoke: subscribe},
		{method: "Erasures.Erased", provoke: func(s *stage, _ *socketClient) { s.hub.ErasureNoted() }},
		{method: "Tokens.Grant", all: true, provoke: func(_ *stage, c *socketClient) {
			c.emit("refresh", map[string]string{"token": "ann"})
		}},
		{method: "Sessions.Save", all: true, provoke: subscribe},
		{method: "Sessions.Load", provoke: func(s *stage, _ *socketClient) {
			if err := s.dialSocket("", 0).Send(`40{"token":"ann","pid":"0123456789012345678901"}`); err != nil {
				t.Error(err)
			}
		}},
		{method: "Sessions.Forget", provoke: func(_ *stage, c *socketClient) { _ = c.Send("41") }},
	}
	for _, test := range tests {
		t.Run(test.method, func(t *testing.T) {
			t.Parallel()
			valve := &valve{entered: make(chan struct{}, 1)}
			log, sessions := newMemoryLog(), newMemorySessions()
			tail := newMemoryTail(log)
			t.Cleanup(tail.stop) // after the hub has ended
			sessions.entered = valve.pass
			opts := options{
				log: log, source: valveLog{log, valve}, live: valveTail{tail, valve}, withoutDB: test.withoutDB, sessions: sessions,
				erasures: valveErasures{&notes{}, valve}, tokens: valveTokens{bookOf(t, time.Now().Add(time.Hour)), valve},
			}
			if !test.withoutDB {
				opts.reads = valveProjection{memoryProjection{log}, valve}
			}
			s := setup(t, opts)
			log.set(func(*memoryLog) { tail.hub = s.hub })
			log.publish("a/old", 3)
			log.set(func(l *memoryLog) { l.legacy["a/old"] = []messaging.Record{legacyStatus("a/old", emittedAt(0))} })
			ann := map[string]string{"token": "ann"}
			honest, _ := s.connectWith(ann, nil)
			honest.subscribe("a/live")
			expect(t, honest, messaging.EventCaughtUp)
			other, _ := s.connectWith(ann, nil)

			release := valve.shut(t, test.method)
			test.provoke(s, other)
			await(t, "the call of "+test.method, valve.entered)

			log.publish("a/live", 1)
			expect(t, honest, "novel.domain-event")
			answered := make(chan struct{})
			go func() {
				defer close(answered)
				s.snapshot()
				_, _ = s.registry.Gather()
			}()
			await(t, "the page of metrics", answered)
			if !test.all {
				third, _ := s.connectWith(ann, nil)
				third.subscribe("a/live")
				honest.emit("unsubscribe", request{JobID: "a/live"})
				expect(t, honest, messaging.EventUnsubscribed)
			}
			release()
		})
	}
}

// await fails the test unless the channel yields in time.
func await[T any](t testing.TB, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("waited %s in vain: %s", patience, what)
		panic("unreachable")
	}
}
