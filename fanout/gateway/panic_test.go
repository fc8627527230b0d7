package gateway_test

import (
	"errors"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/fanout/gateway"
	"github.com/letswriteabook/realtime/guardrails"
	"github.com/letswriteabook/realtime/lab/load/socket"
	"github.com/letswriteabook/realtime/messaging"
)

// Each goroutine that a panic can reach counts it and logs it once; a client whose
// own goroutine panicked is closed, and the others go on.
func TestPanicCostsItsClientOnly(t *testing.T) {
	t.Parallel()
	catchUp := func(c *socketClient) { c.emit("subscribe", request{JobID: "a/old"}) }
	resume := func(c *socketClient) { c.emit("subscribe", request{JobID: "a/old", Since: new(uint64)}) }
	fresh := func(c *socketClient) { c.emit("subscribe", request{JobID: "a/fresh"}) }
	tests := []struct {
		method  string
		provoke func(c *socketClient)
		closes  bool // the client; a room that cannot be opened is tried again
	}{
		{"Tail.Follow", fresh, false},
		{"Tail.Unfollow", func(c *socketClient) { fresh(c); c.emit("unsubscribe", request{JobID: "a/fresh"}) }, false},
		{"Log.LastSequence", fresh, false},
		{"Projection.Locate", catchUp, true},
		{"Projection.FindLegacy", resume, true},
		{"Projection.Head", fresh, true},
		{"Tokens.Grant", func(c *socketClient) { c.emit("refresh", map[string]string{"token": "ann"}) }, true},
		{"Sessions.Save", fresh, true},
	}
	for _, test := range tests {
		t.Run(test.method, func(t *testing.T) {
			t.Parallel()
			valve := &valve{entered: make(chan struct{}, 1)}
			log, sessions := newMemoryLog(), newMemorySessions()
			tail := newMemoryTail(log)
			t.Cleanup(tail.stop)
			sessions.entered = valve.pass
			s := setup(t, options{
				log: log, source: valveLog{log, valve}, live: valveTail{tail, valve}, sessions: sessions,
				reads: valveProjection{memoryProjection{log}, valve}, tokens: valveTokens{bookOf(t, time.Now().Add(time.Hour)), valve},
			})
			log.set(func(*memoryLog) { tail.hub = s.hub })
			log.publish("a/old", 3)
			ann := map[string]string{"token": "ann"}
			honest, _ := s.connectWith(ann, nil)
			honest.subscribe("a/live")
			expect(t, honest, messaging.EventCaughtUp)
			victim, _ := s.connectWith(ann, nil)

			valve.bomb(test.method)
			test.provoke(victim)
			await(t, "the panic in "+test.method, valve.entered)
			if test.closes {
				await(t, "the end of the client", victim.Ended())
				if err := victim.Err(); errors.Is(err, socket.ErrDisconnected) {
					t.Errorf("the client is told not to come back: %v", err)
				}
			}
			wait(t, "the panic to be counted", func() bool {
				return s.metric("realtime_fanout_panics_total")+s.metric("realtime_engineio_panics_total") > 0
			})
			wait(t, "the panic to be logged", func() bool { return s.diary.count("level=ERROR", "panic") > 0 }) // after the count
			if n := s.diary.count("level=ERROR", "panic"); n != 1 {
				t.Errorf("%d lines about it", n)
			}
			log.publish("a/live", 1)
			expect(t, honest, "novel.domain-event")
			valve.bomb("") // for the end of the test
		})
	}
}

// So does the loop that saves sessions again: it closes the client whose turn panicked,
// and goes on with the others.
func TestPanicInTheRefreshClosesItsClientOnly(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"Sessions.Load", "Sessions.Save"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			valve := &valve{entered: make(chan struct{}, 1)}
			sessions := newMemorySessions()
			saves := make(chan struct{}, 1)
			sessions.entered = func(called string) {
				valve.pass(called)
				if called == "Sessions.Save" {
					select {
					case saves <- struct{}{}:
					default:
					}
				}
			}
			s := setup(t, options{sessions: sessions, recovery: gateway.RecoveryAll, refresh: 160 * time.Millisecond})
			victim := s.connect()
			valve.bomb(method)
			await(t, "the end of the client", victim.Ended())
			valve.bomb("")
			next := s.connect()
			for range 3 { // that of its connect, and two of the loop
				await(t, "a save", saves)
			}
			next.emit("ping")
			expect(t, next, messaging.EventPong)
			if n := s.diary.count("level=ERROR", "panic"); n != 1 {
				t.Errorf("%d lines about the panics", n)
			}
		})
	}
}

// The loop of the hub, and its goroutines that serve everybody, go on after a panic: what
// the live tail lost during it is delivered.
func TestPanicInTheHubIsRepeated(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"Log.LastSequences", "Log.Extent", "Log.ReadAfter", "Erasures.Erased", "Projection.Head"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			valve := &valve{entered: make(chan struct{}, 1)}
			log := newMemoryLog()
			tail := newMemoryTail(log)
			t.Cleanup(tail.stop)
			s := setup(t, options{
				log: log, source: valveLog{log, valve}, live: valveTail{tail, valve},
				reads: valveProjection{memoryProjection{log}, valve}, erasures: valveErasures{&notes{}, valve},
			})
			log.set(func(*memoryLog) { tail.hub = s.hub })
			c := s.connect()
			c.subscribe("job")
			expect(t, c, messaging.EventCaughtUp)

			valve.bomb(method)
			tail.lose(func(messaging.Live) bool { return true })
			last := log.publish("job", 3)
			s.hub.Disrupted(messaging.DisruptionReconnect)
			s.hub.ErasureNoted()
			if method == "Projection.Head" { // which is what probes a MongoDB that failed
				log.set(func(l *memoryLog) { l.mongoDown = true })
				s.events("job", "limit=1")
				log.set(func(l *memoryLog) { l.mongoDown = false })
			}
			await(t, "the panic in "+method, valve.entered)
			wait(t, "the panic to be counted", func() bool { return s.metric("realtime_fanout_panics_total") > 0 })
			valve.bomb("")
			expectEvents(t, c, span(last-2, last)...)
			if method == "Projection.Head" {
				wait(t, "MongoDB to be asked again", func() bool { return !s.events("job", "limit=10").Incomplete })
			}
			wait(t, "one line about the panics", func() bool { return s.diary.count("level=ERROR", "panic") == 1 })
		})
	}
}

// So do the timers of a client. What panics in them is the log, which they write to.
func TestPanicInATimerClosesItsClient(t *testing.T) {
	t.Parallel()
	tests := []struct {
		code messaging.Code
		opts options
	}{
		{messaging.CodeIdleTimeout, options{limits: guardrails.Limits{IdleTimeout: 200 * time.Millisecond}}},
		{messaging.CodeTokenExpired, options{tokens: bookOf(t, time.Now().Add(2*time.Second))}},
	}
	for _, test := range tests {
		t.Run(string(test.code), func(t *testing.T) {
			t.Parallel()
			s := setup(t, test.opts)
			s.diary.set("code=" + string(test.code))
			victim, refusal := s.connectWith(map[string]string{"token": "ann"}, nil)
			if refusal != nil {
				t.Fatal(refusal)
			}
			await(t, "the end of the client", victim.Ended())
			wait(t, "the panic to be counted", func() bool { return s.metric("realtime_fanout_panics_total") == 1 })
			wait(t, "the connection to be given back", func() bool { return s.snapshot().TotalConnections == 0 })
		})
	}
}
