package gateway_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/letswriteabook/realtime/fanout/hub"
	"github.com/letswriteabook/realtime/messaging"
)

func expectGap(t testing.TB, c client, requested, firstAvailable uint64, reason messaging.GapReason) {
	t.Helper()
	m := expect(t, c, messaging.EventGap)
	if m.Requested != requested || m.FirstAvailable != firstAvailable || m.Reason != string(reason) {
		t.Fatalf("gap %s, want %d to %d, %s", m.Raw, requested, firstAvailable, reason)
	}
}

func TestPositionsOfAnotherEpoch(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		since uint64
		epoch string
		gap   bool
	}{
		{name: "ahead of the log", since: 301, gap: true},
		{name: "ahead of the log, right epoch", since: 301, epoch: "epoch-1", gap: true},
		{name: "wrong epoch", since: 10, epoch: "epoch-0", gap: true},
		{name: "wrong epoch, from the beginning", since: 0, epoch: "epoch-0", gap: true},
		{name: "right epoch", since: 290, epoch: "epoch-1"},
		{name: "no epoch", since: 290},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := setup(t, options{})
			s.log.publish("job", 300)
			socket := s.connect()
			socket.emit("subscribe", request{JobID: "job", Since: &test.since, Epoch: test.epoch})
			expect(t, socket, messaging.EventSubscribed)
			position := fmt.Sprint(test.since)
			if test.epoch != "" {
				position = test.epoch + ":" + position
			}
			for _, c := range []client{socket, s.stream("job", position)} {
				from := test.since
				if test.gap {
					expectGap(t, c, test.since, 1, messaging.GapEpoch)
					from = 50
				}
				expectEvents(t, c, span(from+1, 300)...)
				expect(t, c, messaging.EventCaughtUp)
			}
		})
	}
}

func TestRetention(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		without bool
		first   uint64 // of 300 stored
		since   string
		gap     bool
		from    uint64 // of what is due
		to      uint64
	}{
		{name: "before the retained range", without: true, first: 101, since: "50", gap: true, from: 101, to: 300},
		{name: "right before it", without: true, first: 101, since: "100", from: 101, to: 300},
		{name: "MongoDB still has it", first: 101, since: "50", from: 51, to: 300},
		{name: "fresh", without: true, first: 101, from: 101, to: 300},
		{name: "fresh, MongoDB still has it", first: 101, from: 51, to: 300},
		{name: "everything removed", without: true, first: 301, since: "50", gap: true, from: 301, to: 300},
		{name: "everything removed, MongoDB still has it", first: 301, since: "5", from: 6, to: 300},
		{name: "everything removed, fresh", without: true, first: 301, from: 301, to: 300},
		{name: "everything removed, fresh, MongoDB still has it", first: 301, from: 51, to: 300},
		{name: "everything removed, nothing missed", first: 301, since: "300", from: 301, to: 300},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := setup(t, options{withoutDB: test.without})
			s.log.publish("job", 300)
			s.log.set(func(l *memoryLog) { l.retain(test.first) })
			c := s.stream("job", test.since)
			if test.gap {
				expectGap(t, c, 50, test.first, messaging.GapRetention)
			}
			expectEvents(t, c, span(test.from, test.to)...)
			expect(t, c, messaging.EventCaughtUp)
			s.log.publish("job", 2)
			expectEvents(t, c, 301, 302)
		})
	}
}

// TestPurgeWhileBehind: a job is purged while a subscription still has to read
// it. The client learns of the gap, and of what comes next.
func TestPurgeWhileBehind(t *testing.T) {
	t.Parallel()
	s := setup(t, options{withoutDB: true})
	s.log.publish("job", 1000)
	s.log.publish("other", 1)
	s.log.set(func(l *memoryLog) { l.failReads = 1 << 30 })
	c := s.connect()
	c.resume("job", 100)
	wait(t, "a page to be asked for", func() bool {
		s.log.mu.Lock()
		defer s.log.mu.Unlock()
		return s.log.failReads < 1<<30
	})
	s.log.set(func(l *memoryLog) {
		l.purge("job")
		l.failReads = 0
	})
	m := expect(t, c, messaging.EventGap)
	if m.Requested != 100 || m.FirstAvailable != 1001 || m.Reason != string(messaging.GapRetention) {
		t.Errorf("gap %s", m.Raw)
	}
	expect(t, c, messaging.EventCaughtUp)
	expectEvents(t, c, s.log.publish("job", 1))
}

// TestPurgeWhileRepairing: the tail heard of records that are gone before the
// room has read what it missed in front of them.
func TestPurgeWhileRepairing(t *testing.T) {
	t.Parallel()
	s := setup(t, options{withoutDB: true})
	s.log.publish("job", 10)
	c := s.connect()
	c.subscribe("job")
	expectEvents(t, c, span(1, 10)...)
	expect(t, c, messaging.EventCaughtUp)
	s.tail.lose(func(live messaging.Live) bool { return live.Sequence == 11 })
	s.log.set(func(l *memoryLog) { l.failReads = 1 << 30 })
	s.log.publish("job", 2)
	wait(t, "a repair to be tried", func() bool {
		s.log.mu.Lock()
		defer s.log.mu.Unlock()
		return s.log.failReads < 1<<30
	})
	s.log.set(func(l *memoryLog) {
		l.purge("job")
		l.failReads = 0
	})
	last := s.log.publish("job", 1)
	expectGap(t, c, 10, 13, messaging.GapRetention)
	expectEvents(t, c, last)
}

// TestRetentionOvertakesARepair: what a room missed is removed before it could
// be read. The live subscriptions are told.
func TestRetentionOvertakesARepair(t *testing.T) {
	t.Parallel()
	for _, without := range []bool{true, false} {
		t.Run(fmt.Sprintf("without=%t", without), func(t *testing.T) {
			t.Parallel()
			s := setup(t, options{withoutDB: without})
			s.log.publish("job", 10)
			c := s.connect()
			c.subscribe("job")
			expectEvents(t, c, span(1, 10)...)
			expect(t, c, messaging.EventCaughtUp)
			s.tail.lose(func(live messaging.Live) bool { return live.Sequence <= 15 })
			s.log.set(func(l *memoryLog) { l.failReads = 1 << 30 })
			s.log.publish("job", 10)
			s.log.set(func(l *memoryLog) {
				l.retain(14)
				l.failReads = 0
			})
			from := uint64(11)
			if without {
				expectGap(t, c, 10, 14, messaging.GapRetention)
				from = 14
			}
			expectEvents(t, c, span(from, 20)...)
			s.log.publish("job", 1)
			expectEvents(t, c, 21)
		})
	}
}

func TestNewEpochUnderLiveSubscriptions(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		pace  func(*hub.Config)
		renew func(s *stage)
		due   []uint64
	}{
		{name: "said by the tail", pace: rarelyChecked, renew: func(s *stage) {
			s.log.set((*memoryLog).renew)
			s.log.publish("job", 3)
			s.hub.Disrupted(messaging.DisruptionReconnect)
		}, due: span(1, 3)},
		{name: "noticed by a live record", pace: rarelyChecked, renew: func(s *stage) {
			s.log.set(func(l *memoryLog) {
				l.renew()
				l.last = 1000 // restored from a backup: sequences do not start over
				l.first = 1001
			})
			s.log.publish("job", 2)
		}, due: span(1001, 1002)},
		{name: "noticed by the check", renew: func(s *stage) { s.log.set((*memoryLog).renew) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := setup(t, options{pipe: true, withoutDB: true, config: test.pace})
				s.log.publish("job", 500)
				socket := s.connect()
				socket.resume("job", 499)
				clients := []client{socket, s.stream("job", "499")}
				for _, c := range clients {
					expectEvents(t, c, 500)
					expect(t, c, messaging.EventCaughtUp)
				}
				time.Sleep(time.Minute)
				test.renew(s)
				time.Sleep(time.Second)
				for _, c := range clients {
					m := expect(t, c, messaging.EventGap)
					if m.Requested != 500 || m.Reason != string(messaging.GapEpoch) {
						t.Errorf("gap %s", m.Raw)
					}
					expectEvents(t, c, test.due...)
					expect(t, c, messaging.EventCaughtUp)
				}
				last := s.log.publish("job", 1)
				for _, c := range clients {
					expectEvents(t, c, last)
				}
			})
		})
	}
}

// TestNewEpochWhileReading: the log begins a new life in the middle of a long
// catch-up. No page of the old one is taken for one of the new, and no gap is
// put down to retention.
func TestNewEpochWhileReading(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := setup(t, options{pipe: true, withoutDB: true, config: rarelyChecked})
		s.watch("job", 2000)
		time.Sleep(time.Minute) // past the room's first check
		gate := make(chan struct{})
		s.log.set(func(l *memoryLog) { l.gate = gate })
		c := s.connect()
		c.resume("job", 100)
		synctest.Wait() // a page is on its way
		s.log.set((*memoryLog).renew)
		s.log.set(func(l *memoryLog) { l.gate = nil })
		close(gate)
		expectGap(t, c, 100, 1, messaging.GapEpoch)
		expectCaughtUp(t, c, 0, 0, 0, messaging.SourceNone)
		expectEvents(t, c, s.log.publish("job", 1))
	})
}

// TestNewEpochDuringTheFirstRead: the page of a fresh subscription is on its way
// when the log begins anew. It is read again: who was given nothing of the old life
// need not hear of it.
func TestNewEpochDuringTheFirstRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := setup(t, options{pipe: true, withoutDB: true})
		s.log.publish("job", 500)
		gate := make(chan struct{})
		s.log.set(func(l *memoryLog) { l.gate = gate })
		c := s.connect()
		c.subscribe("job")
		synctest.Wait()
		s.log.set((*memoryLog).renew)
		s.log.publish("job", 3)
		s.hub.Disrupted(messaging.DisruptionReconnect)
		synctest.Wait()
		s.log.set(func(l *memoryLog) { l.gate = nil })
		close(gate)
		expectEvents(t, c, span(1, 3)...)
		expect(t, c, messaging.EventCaughtUp)
		expectEvents(t, c, s.log.publish("job", 1))
	})
}

// TestQuietJobIsCheckedWhileARecordIsUnderWay: the log has removed everything up
// to long after the job's last event, and a check finds the next one before the
// tail brings it. Nothing is missing, and no gap is told.
func TestQuietJobIsCheckedWhileARecordIsUnderWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := setup(t, options{pipe: true, withoutDB: true, config: rarelyChecked})
		clients := s.watch("job", 5)
		s.log.publish("other", 100)
		s.log.set(func(l *memoryLog) { l.retain(90) })
		release := s.tail.hold()
		last := s.log.publish("job", 2)
		s.hub.Disrupted(messaging.DisruptionReconnect)
		time.Sleep(50 * time.Millisecond)
		release()
		for _, c := range clients {
			expectEvents(t, c, last-1, last)
		}
	})
}
