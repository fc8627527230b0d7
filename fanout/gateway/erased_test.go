package gateway_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/letswriteabook/realtime/fanout/hub"
	"github.com/letswriteabook/realtime/fanout/socketio"
	"github.com/letswriteabook/realtime/messaging"
)

// notes is where the erasures of a test are noted.
type notes struct {
	mu    sync.Mutex // guards all
	noted []hub.Erasure
	away  bool
	asked int
}

func (n *notes) Erased(_ context.Context, after uint64) ([]hub.Erasure, uint64, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked++
	if n.away {
		return nil, 0, errDown
	}
	return n.noted[min(after, uint64(len(n.noted))):], uint64(len(n.noted)), nil
}

func (n *notes) set(change func(n *notes)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change(n)
}

// erase notes that a job was erased up to a sequence.
func (n *notes) erase(jobID string, through uint64) {
	n.set(func(n *notes) {
		n.noted = append(n.noted, hub.Erasure{JobID: jobID, Through: messaging.Position{Epoch: "epoch-1", Sequence: through}})
	})
}

// TestErased: from the moment it is noted, nothing of an erased job is shown, though
// log, MongoDB and memory hold all of it still. Who follows it is told.
func TestErased(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		options options
	}{
		{name: "with MongoDB"},
		{name: "without", options: options{withoutDB: true}},
		{name: "with MongoDB and a cache", options: options{cacheBytes: 64 << 20}},
		{name: "with a cache alone", options: options{withoutDB: true, cacheBytes: 64 << 20}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			erasures := &notes{}
			test.options.erasures = erasures
			s := setup(t, test.options)
			s.log.set(func(l *memoryLog) {
				l.legacy["job"] = []messaging.Record{record("job", 0)}
				l.heads["job"] = messaging.JobHead{Status: "running", EmittedAt: emittedAt(1)}
			})
			s.log.publish("job", 300)
			s.log.publish("other", 1)
			socket := s.connect()
			socket.resume("job", 290)
			followers := []client{socket, s.stream("job", "290")}
			for _, c := range followers {
				expectEvents(t, c, span(291, 300)...)
				expect(t, c, messaging.EventCaughtUp)
			}
			erasures.erase("job", 300)
			s.hub.ErasureNoted()
			for _, c := range followers {
				expectGap(t, c, 300, 301, messaging.GapErased)
			}
			if _, shown := s.snapshot().LastCatchUp["job"]; shown {
				t.Error("the catch-up of the erased job is still on the metrics page")
			}

			fresh := s.connect()
			fresh.subscribe("job")
			expectCaughtUp(t, fresh, 300, 300, 0, messaging.SourceNone)
			for _, since := range []uint64{0, 12, 300} {
				c := s.connect()
				c.resume("job", since)
				expectGap(t, c, since, 301, messaging.GapErased)
				expectCaughtUp(t, c, 300, 300, 0, messaging.SourceNone)
				followers = append(followers, c)
			}
			for _, query := range []string{"", "?since=0", "?before=200"} {
				if page := s.get("/api/novel/job/events"+query, ""); !strings.Contains(page.body, `"count":0`) {
					t.Errorf("a page of events%s has %s", query, page.body)
				}
			}

			next := s.log.publish("job", 1)
			for _, c := range append(followers, fresh) {
				expectEvents(t, c, next)
			}
			late := s.connect()
			late.subscribe("job")
			expectEvents(t, late, next)
			expect(t, late, messaging.EventCaughtUp)
		})
	}
}

// TestErasedAfterARestart: a gateway that starts later knows, and tells a client that
// was away.
func TestErasedAfterARestart(t *testing.T) {
	t.Parallel()
	erasures := &notes{}
	erasures.erase("job", 20)
	erasures.erase("job", 10) // one that ran beside, and was noted later
	s := setup(t, options{erasures: erasures})
	s.log.publish("job", 20)
	s.log.set(func(l *memoryLog) { l.purge("job") })
	for _, c := range []client{s.stream("job", "7"), s.stream("job", "epoch-1:20")} {
		m := expect(t, c, messaging.EventGap)
		if m.FirstAvailable != 21 || m.Reason != string(messaging.GapErased) {
			t.Errorf("gap %s", m.Raw)
		}
		expectCaughtUp(t, c, 20, 20, 0, messaging.SourceNone)
	}
}

// TestErasedInSeveralEpochs: an erasure that was noted before the log was restored is
// noted as done after that. What the restore has noted stays hidden, from who follows
// the job, who comes later, and at a gateway that starts later; nobody is told twice.
func TestErasedInSeveralEpochs(t *testing.T) {
	t.Parallel()
	erasures := &notes{}
	of := func(epoch string, through uint64) hub.Erasure {
		return hub.Erasure{JobID: "job", Through: messaging.Position{Epoch: epoch, Sequence: through}}
	}
	note := func(s *stage, noted hub.Erasure) {
		erasures.set(func(n *notes) { n.noted = append(n.noted, noted) })
		s.hub.ErasureNoted()
	}
	s := setup(t, options{erasures: erasures})
	s.log.publish("job", 20)
	s.log.publish("other", 1)
	other := s.connect()
	other.subscribe("other")
	expectEvents(t, other, 21)
	expect(t, other, messaging.EventCaughtUp)
	follower := s.connect()
	follower.resume("job", 15)
	expectEvents(t, follower, span(16, 20)...)
	expect(t, follower, messaging.EventCaughtUp)
	note(s, of("epoch-1", 20))
	expectGap(t, follower, 20, 21, messaging.GapErased)
	note(s, of("epoch-0", 7))
	note(s, of("epoch-2", 300)) // a restore is being prepared
	// All are known when somebody is told of the last one.
	note(s, hub.Erasure{JobID: "other", Through: messaging.Position{Epoch: "epoch-1", Sequence: 21}})
	expectGap(t, other, 21, 22, messaging.GapErased)

	later := setup(t, options{erasures: erasures})
	later.log.publish("job", 20)
	for _, s := range []*stage{s, later} {
		c := s.connect()
		c.resume("job", 3)
		expectGap(t, c, 3, 21, messaging.GapErased)
		expectCaughtUp(t, c, 20, 20, 0, messaging.SourceNone)
		if page := s.get("/api/novel/job/events", ""); !strings.Contains(page.body, `"count":0`) {
			t.Errorf("a page of events has %s", page.body)
		}
	}
	expectEvents(t, follower, s.log.publish("job", 1))
}

// TestErasureWithoutItsNotice: a gateway does not receive the notice of an erasure, and cannot
// read it. Once the lease is over no client catches up from its memory; live events continue.
func TestErasureWithoutItsNotice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		erasures := &notes{}
		s := setup(t, options{pipe: true, erasures: erasures, catchUp: 5, config: unhurried})
		s.log.publish("job", 1)
		follower := s.connect()
		follower.subscribe("job")
		expectEvents(t, follower, 1)
		expect(t, follower, messaging.EventCaughtUp)
		s.log.publish("job", 9) // the ring has these
		expectEvents(t, follower, span(2, 10)...)

		erasures.set(func(n *notes) { n.away = true })
		erasures.erase("job", 10)
		within := s.connect()
		within.subscribe("job")
		expectEvents(t, within, span(6, 10)...) // nobody has promised yet that they are gone
		expect(t, within, messaging.EventCaughtUp)

		time.Sleep(hub.ErasureLease)
		c := s.connect()
		c.subscribe("job")
		s.log.publish("job", 1)
		expectEvents(t, follower, 11)
		expectEvents(t, within, 11)
		silence, over := context.WithTimeout(t.Context(), time.Minute)
		if e, err := c.Next(silence); err == nil {
			t.Fatalf("a client was sent %s", e.Name)
		}
		over()

		erasures.set(func(n *notes) { n.away = false })
		expectEvents(t, c, 11)
		expect(t, c, messaging.EventCaughtUp)
		for _, c := range []client{follower, within} {
			expectGap(t, c, 11, 11, messaging.GapErased)
		}
	})
}

// TestErasedWhileReading: a slow client is in the middle of its catch-up. What it is
// sent after the erasure is noted is the gap, and then what is new.
func TestErasedWhileReading(t *testing.T) {
	t.Parallel()
	erasures := &notes{}
	s := setup(t, options{pipe: true, erasures: erasures, sockets: func(c *socketio.Config) { c.QueueBytes = 16 << 10 }})
	const stored = 2000
	for range stored {
		s.log.append(record("job", 500))
	}
	c := s.connectFrom("", 1)
	c.resume("job", 0)
	expectEvents(t, c, 1)
	other := s.connect()
	other.resume("job", stored)
	expectCaughtUp(t, other, stored, stored, 0, messaging.SourceNone)
	erasures.erase("job", stored)
	s.hub.ErasureNoted()
	// Known at the latest when somebody else is told so.
	expectGap(t, other, stored, stored+1, messaging.GapErased)
	got := uint64(1)
	for m := c.next(); m.isEvent(); m = c.next() {
		got++ // was in the queue of the socket
		if m.Sequence != got {
			t.Fatalf("got %s, want sequence %d", m.Raw, got)
		}
		if got == stored {
			t.Fatal("the erased events were sent to their end")
		}
	}
	expect(t, c, messaging.EventCaughtUp)
	next := s.log.publish("job", 1)
	expectEvents(t, c, next)
}

// TestErasuresAreAskedForOncePerLease: a crowd costs one question.
func TestErasuresAreAskedForOncePerLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		erasures := &notes{}
		s := setup(t, options{pipe: true, erasures: erasures, config: unhurried})
		s.log.publish("job", 3)
		for range 50 {
			c := s.connect()
			c.subscribe("job")
			expectEvents(t, c, 1, 2, 3)
		}
		erasures.set(func(n *notes) {
			if n.asked > 2 {
				t.Errorf("asked %d times", n.asked)
			}
		})
	})
}

// TestPageOfAnErasedJob: while the stores are busy with the removal of a long job, a page
// of its new events costs no more reads than any other, and skips what older writers left.
func TestPageOfAnErasedJob(t *testing.T) {
	t.Parallel()
	for name, withoutDB := range map[string]bool{"log": true, "MongoDB": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			erasures := &notes{}
			s := setup(t, options{withoutDB: withoutDB, erasures: erasures})
			s.log.set(func(l *memoryLog) { l.legacy["job"] = []messaging.Record{record("job", 0)} })
			s.log.publish("job", 5000)
			erasures.erase("job", 5000)
			s.hub.ErasureNoted()
			s.log.publish("job", 3)
			for _, query := range []string{"?limit=10", "?limit=10&since=0", "?limit=10&before=5003"} {
				before := 0
				s.log.set(func(l *memoryLog) { before = l.reads + l.asked })
				page := s.get("/api/novel/job/events"+query, "")
				s.log.set(func(l *memoryLog) {
					if reads := l.reads + l.asked - before; reads > 6 {
						t.Errorf("a page of events%s takes %d reads", query, reads)
					}
				})
				if !strings.Contains(page.body, `"sequence":5001`) || strings.Contains(page.body, `"sequence":5000`) {
					t.Errorf("a page of events%s has %s", query, page.body)
				}
			}
		})
	}
}
