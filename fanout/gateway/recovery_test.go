package gateway_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/lab/load/socket"
	"github.com/letswriteabook/realtime/messaging"
)

// memorySessions is a store of sessions that several stages can share.
type memorySessions struct {
	mu     sync.Mutex // guards all below but entered
	states map[string][]byte
	away   bool
	panics bool // in a save
	// renews is set where one stage alone has the sessions; renewed counts the states.
	renews  bool
	renewed int
	// maxBytes, unless it is 0, is what the states come to before the one is dropped
	// that was saved longest ago; order has the ids in that order.
	maxBytes int
	order    []string
	largest  int // of the states that were saved
	// entered, unless it is nil, is called with the name of each method first. It is
	// set before the sessions are used.
	entered func(method string)
}

func newMemorySessions() *memorySessions { return &memorySessions{states: make(map[string][]byte)} }

func (m *memorySessions) enter(method string) {
	if m.entered != nil {
		m.entered(method)
	}
}

func (m *memorySessions) Save(id string, state []byte) {
	m.enter("Sessions.Save")
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.panics {
		panic("for the test")
	}
	m.states[id] = state
	m.largest = max(m.largest, len(state))
	if m.maxBytes == 0 {
		return
	}
	m.order = append(slices.DeleteFunc(m.order, func(other string) bool { return other == id }), id)
	total := 0
	for _, kept := range m.states {
		total += len(kept)
	}
	for total > m.maxBytes {
		total -= len(m.states[m.order[0]])
		delete(m.states, m.order[0])
		m.order = m.order[1:]
	}
}

// set changes the sessions under their mutex.
func (m *memorySessions) set(change func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change()
}

func (m *memorySessions) Forget(id string) {
	m.enter("Sessions.Forget")
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.states, id)
}

func (m *memorySessions) Load(_ context.Context, id string) ([]byte, bool, error) {
	m.enter("Sessions.Load")
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.away {
		return nil, false, errors.New("away")
	}
	state, found := m.states[id]
	return state, found, nil
}

// Renew refuses all unless renews is set: several stages share the states, and nobody keeps
// who saved which.
func (m *memorySessions) Renew(_ context.Context, ids []string, state func(id string) []byte) (refused []string) {
	m.enter("Sessions.Renew")
	for _, id := range ids {
		var before []byte
		m.set(func() { before = m.states[id] })
		if now := state(id); now == nil || !m.renew(id, before, now) {
			refused = append(refused, id)
		}
	}
	return refused
}

// renew replaces the state from before, unless another was saved meanwhile.
func (m *memorySessions) renew(id string, before, state []byte) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.renews || before == nil || !bytes.Equal(m.states[id], before) {
		return false
	}
	m.states[id] = state
	m.renewed++
	return true
}

func (m *memorySessions) has(id string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.states[id] != nil
}

// recoverer is a client that recovers its session as socket.io-client does: it
// keeps the pid it was told, and the last argument of the newest event, if that
// is a string.
type recoverer struct {
	t        testing.TB
	socket   *socket.Socket
	sid, pid string
	offset   string
	token    string // "mine" unless it matters
	// got are the sequences received, by job.
	got map[string][]uint64
	// caughtUp is the last end of a catch-up on this connection.
	caughtUp *message
}

func newRecoverer(t testing.TB) *recoverer {
	return &recoverer{t: t, got: make(map[string][]uint64)}
}

// connect connects to a gateway, and reports whether the session is recovered.
func (c *recoverer) connect(s *stage) (recovered bool) {
	c.t.Helper()
	return c.connectFrom(s, "")
}

func (c *recoverer) connectFrom(s *stage, origin string) (recovered bool) {
	c.t.Helper()
	c.socket, c.caughtUp = s.in(c.t).dialSocket(origin, 0), nil
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	auth := map[string]any{"token": cmp.Or(c.token, "mine")}
	if c.pid != "" {
		auth["pid"] = c.pid
		if c.offset != "" {
			auth["offset"] = c.offset
		}
	}
	connected, err := c.socket.Connect(ctx, auth)
	if err != nil {
		c.t.Fatal(err)
	}
	if connected.PID == "" {
		c.t.Fatal("the server names no pid")
	}
	recovered = connected.PID == c.pid
	if recovered && connected.SID != c.sid {
		c.t.Errorf("recovered as %q, was %q", connected.SID, c.sid)
	}
	c.sid, c.pid = connected.SID, connected.PID
	return recovered
}

func (c *recoverer) subscribe(jobID string) {
	c.t.Helper()
	if err := c.socket.Emit("subscribe", request{JobID: jobID}); err != nil {
		c.t.Fatal(err)
	}
}

// next takes one message. An event has to follow on the one before of its job.
func (c *recoverer) next(log *memoryLog) message {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	event, err := c.socket.Next(ctx)
	if err != nil {
		c.t.Fatal(err)
	}
	m := decode(c.t, event)
	if args := argsOf(c.t, event); args[len(args)-1][0] == '"' {
		last := args[len(args)-1]
		c.offset = string(last[1 : len(last)-1])
	}
	if m.Name == messaging.EventCaughtUp {
		c.caughtUp = &m
	}
	if m.isEvent() {
		got := c.got[m.JobID]
		if len(got) > 0 {
			if due := log.due(m.JobID, lastOf(got)); due != m.Sequence {
				c.t.Fatalf("job %s: sequence %d after %d, want %d", m.JobID, m.Sequence, lastOf(got), due)
			}
		}
		c.got[m.JobID] = append(got, m.Sequence)
	}
	return m
}

// until takes messages up to one of a name and job.
func (c *recoverer) until(log *memoryLog, name, jobID string) message {
	c.t.Helper()
	for {
		if m := c.next(log); m.Name == name && m.JobID == jobID {
			return m
		}
	}
}

// upTo takes messages until an event of a job with that sequence was received.
func (c *recoverer) upTo(log *memoryLog, jobID string, sequence uint64) {
	c.t.Helper()
	for lastOf(c.got[jobID]) < sequence {
		c.next(log)
	}
}

func TestRecoveryReplaysExactlyWhatWasMissed(t *testing.T) {
	t.Parallel()
	sessions := newMemorySessions()
	log := newMemoryLog()
	stages := []*stage{setup(t, options{log: log, sessions: sessions}), setup(t, options{log: log, sessions: sessions})}
	log.publish("a", 5)
	c := newRecoverer(t)
	if c.connect(stages[0]) {
		t.Fatal("a first connect is recovered")
	}
	c.subscribe("a")
	c.until(log, messaging.EventCaughtUp, "a")
	for round := range 6 { // the same gateway and the other, more than once
		c.socket.Kill()
		last := log.publish("a", 3)
		if !c.connect(stages[round/2%2]) {
			t.Fatalf("round %d: not recovered", round)
		}
		// What the gateway has not heard of yet comes live, after the catch-up.
		for c.caughtUp == nil || lastOf(c.got["a"]) < last {
			c.next(log)
		}
		if c.caughtUp.Replayed > 3 {
			t.Fatalf("round %d: caught up with %s", round, c.caughtUp.Raw)
		}
	}
	sameSequences(t, c.got["a"], log.sequences("a", 0))
}

func TestRecoveryWhenNothingHadArrived(t *testing.T) {
	t.Parallel()
	sessions := newMemorySessions()
	s := setup(t, options{sessions: sessions})
	t.Run("no subscription", func(t *testing.T) {
		c := newRecoverer(t)
		c.connect(s)
		c.socket.Kill()
		if !c.connect(s) {
			t.Error("not recovered")
		}
	})
	t.Run("a subscription whose answer was lost", func(t *testing.T) {
		c := newRecoverer(t)
		c.connect(s)
		c.subscribe("lost")
		wait(t, "the subscription", func() bool { return s.snapshot().SubscribersPerJob["lost"] == 1 })
		s.log.publish("lost", 2)
		c.socket.Kill()
		if !c.connect(s) {
			t.Fatal("not recovered")
		}
		c.upTo(s.log, "lost", s.log.newest("lost"))
		sameSequences(t, c.got["lost"], s.log.sequences("lost", 0))
	})
	t.Run("a quiet job", func(t *testing.T) {
		c := newRecoverer(t)
		c.connect(s)
		c.subscribe("quiet")
		c.until(s.log, messaging.EventCaughtUp, "quiet")
		c.socket.Kill()
		last := s.log.publish("quiet", 400) // more than a fresh subscription is replayed, and than any ring
		if !c.connect(s) {
			t.Fatal("not recovered")
		}
		c.upTo(s.log, "quiet", last)
		sameSequences(t, c.got["quiet"], s.log.sequences("quiet", 0))
	})
	t.Run("documents without a sequence", func(t *testing.T) {
		s.log.set(func(l *memoryLog) { l.legacy["old"] = []messaging.Record{record("old", 0), record("old", 0)} })
		c := newRecoverer(t)
		c.connect(s)
		c.subscribe("old")
		if caughtUp := c.until(s.log, messaging.EventCaughtUp, "old"); caughtUp.Replayed != 2 {
			t.Fatalf("caught up with %s", caughtUp.Raw)
		}
		c.socket.Kill()
		c.connect(s)
		if caughtUp := c.until(s.log, messaging.EventCaughtUp, "old"); caughtUp.Replayed != 0 {
			t.Fatalf("repeated: caught up with %s", caughtUp.Raw)
		}
	})
}

// TestRecoveryTakesTheOldSocketOver: the server does not know yet that the old
// connection is dead, and the gateway has room for one socket only.
func TestRecoveryTakesTheOldSocketOver(t *testing.T) {
	t.Parallel()
	opts := options{sessions: newMemorySessions()}
	opts.limits.MaxConnections = 1
	s := setup(t, opts)
	s.log.publish("a", 1)
	c := newRecoverer(t)
	c.connect(s)
	c.subscribe("a")
	c.until(s.log, messaging.EventCaughtUp, "a")
	old := c.socket
	last := s.log.publish("a", 1)
	if !c.connect(s) {
		t.Fatal("not recovered")
	}
	c.upTo(s.log, "a", last)
	<-old.Ended()
	wait(t, "the old socket to be gone", func() bool {
		now := s.snapshot()
		return now.TotalConnections == 1 && now.SubscribersPerJob["a"] == 1
	})
	c.socket.Kill()
	wait(t, "the slot", func() bool { return s.snapshot().TotalConnections == 0 })
	if !c.connect(s) {
		t.Error("not recovered after the old socket was taken over")
	}
}

func TestRecoveryIsRefused(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		origin string
		spoil  func(c *recoverer, sessions *memorySessions)
	}{
		{name: "unknown pid", spoil: func(c *recoverer, _ *memorySessions) { c.pid = "AAAAAAAAAAAAAAAAAAAAAA" }},
		{name: "garbled offset", spoil: func(c *recoverer, _ *memorySessions) { c.offset = "17" }},
		{name: "huge offset", spoil: func(c *recoverer, _ *memorySessions) { c.offset = fmt.Sprintf("e:%0100000d", 1) }},
		{name: "expired", spoil: func(c *recoverer, sessions *memorySessions) { sessions.Forget(c.pid) }},
		{name: "garbled state", spoil: func(c *recoverer, sessions *memorySessions) { sessions.Save(c.pid, []byte("{")) }},
		{name: "sessions away", spoil: func(_ *recoverer, sessions *memorySessions) { sessions.away = true }},
		{name: "another origin", origin: "https://b.example"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			sessions := newMemorySessions()
			s := setup(t, options{sessions: sessions})
			s.log.publish("a", 2)
			c := newRecoverer(t)
			c.connectFrom(s, "https://a.example")
			c.subscribe("a")
			c.until(s.log, messaging.EventCaughtUp, "a")
			c.socket.Kill()
			wait(t, "the socket to be gone", func() bool { return s.snapshot().TotalConnections == 0 })
			if test.spoil != nil {
				test.spoil(c, sessions)
			}
			origin := "https://a.example"
			if test.origin != "" {
				origin = test.origin
			}
			if c.connectFrom(s, origin) {
				t.Fatal("recovered")
			}
			// An ordinary connect: nothing is followed, and subscribing works.
			if n := s.snapshot().TotalSubscriptions; n != 0 {
				t.Errorf("%d subscriptions", n)
			}
			clear(c.got)
			c.subscribe("a")
			c.until(s.log, messaging.EventCaughtUp, "a")
			sameSequences(t, c.got["a"], s.log.sequences("a", 0))
		})
	}
}

// TestRecoveryAfterUnsubscribing: what the client has of a job that it left does
// not stand in the way, and the job does not come back.
func TestRecoveryAfterUnsubscribing(t *testing.T) {
	t.Parallel()
	s := setup(t, options{sessions: newMemorySessions()})
	c := newRecoverer(t)
	c.connect(s)
	for _, jobID := range []string{"a", "b"} {
		s.log.publish(jobID, 2)
		c.subscribe(jobID)
		c.until(s.log, messaging.EventCaughtUp, jobID)
	}
	if err := c.socket.Emit("unsubscribe", request{JobID: "b"}); err != nil {
		t.Fatal(err)
	}
	c.until(s.log, messaging.EventUnsubscribed, "b")
	c.socket.Kill()
	last := s.log.publish("a", 1)
	if !c.connect(s) {
		t.Fatal("not recovered")
	}
	c.upTo(s.log, "a", last)
	// The connection that was killed may end a moment later.
	wait(t, "one subscription to a and none to b", func() bool {
		followed := s.snapshot().SubscribersPerJob
		return followed["b"] == 0 && followed["a"] == 1
	})
}

// TestSessionKeptTooEarly: the state is older than what the client has received,
// be that events or the mere answer to its subscribe.
func TestSessionKeptTooEarly(t *testing.T) {
	t.Parallel()
	for _, received := range []string{messaging.EventSubscribed, messaging.EventCaughtUp} {
		t.Run(received, func(t *testing.T) {
			t.Parallel()
			sessions := newMemorySessions()
			s := setup(t, options{sessions: sessions})
			s.log.publish("a", 1)
			c := newRecoverer(t)
			c.connect(s)
			c.subscribe("a")
			c.until(s.log, messaging.EventCaughtUp, "a")
			early, _, _ := sessions.Load(t.Context(), c.pid)
			c.subscribe("b")
			c.until(s.log, received, "b")
			c.socket.Kill()
			wait(t, "the socket to be gone", func() bool { return s.snapshot().TotalConnections == 0 })
			sessions.Save(c.pid, early)
			if c.connect(s) {
				t.Error("recovered without a subscription that it had")
			}
		})
	}
}

func TestSessionIsForgottenWhenEitherSideEndsIt(t *testing.T) {
	t.Parallel()
	sessions := newMemorySessions()
	s := setup(t, options{sessions: sessions})
	c := newRecoverer(t)
	c.connect(s)
	if !sessions.has(c.pid) {
		t.Fatal("the session is not kept from the start")
	}
	c.socket.Close()
	wait(t, "the session to be forgotten", func() bool { return !sessions.has(c.pid) })
}

// TestOldSocketAtAnotherGateway: a session has gone on at another gateway before
// the first one learns of the death of its socket, be that from the connection or
// from the session. It does not put its own state in place of the newer one.
func TestOldSocketAtAnotherGateway(t *testing.T) {
	t.Parallel()
	for _, bySession := range []bool{false, true} {
		t.Run(fmt.Sprintf("bySession=%t", bySession), func(t *testing.T) {
			t.Parallel()
			sessions, log := newMemorySessions(), newMemoryLog()
			opts := options{log: log, sessions: sessions}
			if bySession {
				opts.refresh = 20 * time.Millisecond
			}
			first, second := setup(t, opts), setup(t, options{log: log, sessions: sessions})
			log.publish("a", 1)
			c := newRecoverer(t)
			c.connect(first)
			c.subscribe("a")
			c.until(log, messaging.EventCaughtUp, "a")
			old := c.socket
			if !c.connect(second) {
				t.Fatal("not recovered")
			}
			c.subscribe("b")
			c.until(log, messaging.EventCaughtUp, "b")
			if !bySession {
				old.Kill()
			}
			<-old.Ended()
			wait(t, "the old socket to be gone", func() bool { return first.snapshot().TotalConnections == 0 })
			last := log.publish("b", 1)
			if !c.connect(first) { // while the second does not know that it lost it
				t.Fatal("not recovered once more")
			}
			c.upTo(log, "b", last)
			if followed := first.snapshot().SubscribersPerJob; followed["a"] != 1 || followed["b"] != 1 {
				t.Errorf("followed: %v", followed)
			}
		})
	}
}

// TestSubscribingAgainAfterRecovery: many clients subscribe on every connect, with
// or without a position. The replay is under way already.
func TestSubscribingAgainAfterRecovery(t *testing.T) {
	t.Parallel()
	for _, since := range []bool{false, true} {
		t.Run(fmt.Sprintf("since=%t", since), func(t *testing.T) {
			t.Parallel()
			s := setup(t, options{sessions: newMemorySessions()})
			s.log.publish("a", 3)
			c := newRecoverer(t)
			c.connect(s)
			c.subscribe("a")
			c.until(s.log, messaging.EventCaughtUp, "a")
			c.socket.Kill()
			s.log.publish("a", 3)
			c.connect(s)
			again := request{JobID: "a"}
			if since {
				last := lastOf(c.got["a"])
				again.Since = &last
			}
			if err := c.socket.Emit("subscribe", again); err != nil {
				t.Fatal(err)
			}
			c.until(s.log, messaging.EventSubscribed, "a")
			c.upTo(s.log, "a", s.log.publish("a", 1))
			sameSequences(t, c.got["a"], s.log.sequences("a", 0))
		})
	}
}

func TestRecoveryInANewEpoch(t *testing.T) {
	t.Parallel()
	s := setup(t, options{sessions: newMemorySessions()})
	s.log.publish("a", 3)
	c := newRecoverer(t)
	c.connect(s)
	c.subscribe("a")
	c.until(s.log, messaging.EventCaughtUp, "a")
	c.socket.Kill()
	s.log.renew()
	s.log.publish("a", 2)
	if !c.connect(s) {
		t.Fatal("not recovered")
	}
	clear(c.got)
	if gap := c.until(s.log, messaging.EventGap, "a"); gap.Reason != string(messaging.GapEpoch) {
		t.Errorf("gap %s", gap.Raw)
	}
	c.until(s.log, messaging.EventCaughtUp, "a")
	sameSequences(t, c.got["a"], s.log.sequences("a", 0))
}

// TestRecoveryUnderLoad moves clients with several jobs between two gateways
// while events flow and the tails lose some. Whatever a client had received when
// its connection was cut, every job goes on where it was.
func TestRecoveryUnderLoad(t *testing.T) {
	t.Parallel()
	sessions, log := newMemorySessions(), newMemoryLog()
	stages := []*stage{setup(t, options{log: log, sessions: sessions}), setup(t, options{log: log, sessions: sessions})}
	lossy := rand.New(rand.NewPCG(9, 10))
	stages[0].tail.lose(func(messaging.Live) bool { return lossy.IntN(10) == 0 })
	jobs := []string{"a", "b", "c"}
	for _, jobID := range jobs {
		log.publish(jobID, 10)
	}
	t.Run("clients", func(t *testing.T) {
		for n := range 4 {
			t.Run(fmt.Sprint(n), func(t *testing.T) {
				t.Parallel()
				random := rand.New(rand.NewPCG(11, uint64(n)))
				c := newRecoverer(t)
				c.connect(stages[0])
				followed := map[string]bool{}
				for range 40 {
					if jobID := jobs[random.IntN(len(jobs))]; !followed[jobID] {
						c.subscribe(jobID)
						c.until(log, messaging.EventSubscribed, jobID)
						followed[jobID] = true
					}
					// Clients publish as they read, and not by the clock: on a
					// slow machine a producer of its own would outrun them.
					for range random.IntN(60) {
						for _, jobID := range jobs {
							log.publish(jobID, 1)
						}
						c.next(log)
					}
					c.socket.Kill()
					if !c.connect(stages[random.IntN(2)]) {
						t.Fatal("not recovered")
					}
				}
				for _, jobID := range slices.Sorted(maps.Keys(followed)) {
					c.upTo(log, jobID, lastOf(log.sequences(jobID, 0)))
					got := c.got[jobID]
					sameSequences(t, got, log.sequences(jobID, got[0]-1)[:len(got)])
				}
			})
		}
	})
}
