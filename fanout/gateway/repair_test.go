package gateway_test

import (
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/letswriteabook/realtime/fanout/hub"
	"github.com/letswriteabook/realtime/fanout/recorder"
	"github.com/letswriteabook/realtime/messaging"
)

// watch returns a socket and a stream that are live on a job with so many events.
func (s *stage) watch(jobID string, stored int) []client {
	s.t.Helper()
	s.log.publish(jobID, stored)
	socket := s.connect()
	socket.subscribe(jobID)
	clients := []client{socket, s.stream(jobID, "")}
	for _, c := range clients {
		for m := c.next(); m.Name != messaging.EventCaughtUp; m = c.next() {
		}
	}
	return clients
}

// TestLostLiveRecords: whatever the tail loses, no client notices.
func TestLostLiveRecords(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for _, test := range []struct {
		name string
		drop func(messaging.Live) bool
	}{
		{"one", func(live messaging.Live) bool { return live.Sequence == 7 }},
		{"a range", func(live messaging.Live) bool { return live.Sequence > 100 && live.Sequence < 900 }},
		{"half", func(messaging.Live) bool { return random.IntN(2) == 0 }},
		{"the last", func(live messaging.Live) bool { return live.Sequence > 990 }},
		{"all", func(messaging.Live) bool { return true }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := setup(t, options{})
			clients := s.watch("job", 0)
			s.tail.lose(test.drop)
			s.log.publish("job", 1000)
			for _, c := range clients {
				expectEvents(t, c, span(1, 1000)...)
			}
			s.tail.lose(nil)
			s.log.publish("job", 1)
			for _, c := range clients {
				expectEvents(t, c, 1001)
			}
		})
	}
}

// TestDisrupted: after a word from the tail, what was lost without a later
// record to tell is there without waiting for the next check.
func TestDisrupted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := setup(t, options{pipe: true, config: rarelyChecked})
		clients := s.watch("job", 5)
		others := s.watch("other", 5)
		time.Sleep(time.Minute)
		s.tail.lose(func(messaging.Live) bool { return true })
		last := s.log.publish("job", 3)
		lastOther := s.log.publish("other", 1)
		told := time.Now()
		s.hub.Disrupted(messaging.DisruptionReconnect)
		for _, c := range clients {
			expectEvents(t, c, span(last-2, last)...)
		}
		for _, c := range others {
			expectEvents(t, c, lastOther)
		}
		if took := time.Since(told); took > time.Second {
			t.Errorf("took %s", took)
		}
	})
}

// rarelyChecked is a pace at which checks find nothing that a test waits for.
func rarelyChecked(c *hub.Config) {
	*c = hub.DefaultConfig()
	c.CheckInterval = time.Hour
}

// TestCheckIsRepeatedUntilTheLogAnswers: the log may be away just then when the
// tail reports that it missed something.
func TestCheckIsRepeatedUntilTheLogAnswers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := setup(t, options{pipe: true, config: rarelyChecked})
		clients := s.watch("job", 5)
		time.Sleep(time.Minute)
		s.tail.lose(func(messaging.Live) bool { return true })
		last := s.log.publish("job", 3)
		s.log.set(func(l *memoryLog) { l.down = true })
		s.hub.Disrupted(messaging.DisruptionReconnect)
		time.Sleep(5 * time.Second)
		s.log.set(func(l *memoryLog) { l.down = false })
		mended := time.Now()
		for _, c := range clients {
			sameSequences(t, collect(t, c, last, nil), span(6, last))
		}
		if took := time.Since(mended); took > 2*time.Second {
			t.Errorf("repaired %s after the log was back", took)
		}
	})
}

// TestChecksFindWhatWasLost: shortly after a job was followed, and then at a
// slow pace.
func TestChecksFindWhatWasLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := setup(t, options{pipe: true, config: unhurried})
		s.tail.lose(func(messaging.Live) bool { return true })
		clients := s.watch("job", 5)
		for _, within := range []time.Duration{2 * time.Second, 16 * time.Second, 16 * time.Second} {
			started := time.Now()
			last := s.log.publish("job", 2)
			for _, c := range clients {
				expectEvents(t, c, last-1, last)
			}
			if took := time.Since(started); took > within {
				t.Errorf("found after %s, want %s at most", took, within)
			}
		}
		if repairs := s.byLabel("realtime_fanout_repairs_total"); repairs["check"] != 3 {
			t.Errorf("repairs are counted as %v", repairs)
		}
	})
}

// TestRecordsHeldBack: live records that come late, after they were repaired,
// and those of one job long after another's.
func TestRecordsHeldBack(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	clients := s.watch("job", 3)
	release := s.tail.hold()
	last := s.log.publish("job", 50)
	s.log.publish("other", 10)
	s.hub.Disrupted(messaging.DisruptionReconnect)
	for _, c := range clients {
		sameSequences(t, collect(t, c, last, nil), span(4, last))
	}
	release()
	next := s.log.publish("job", 1)
	for _, c := range clients {
		expectEvents(t, c, next)
	}
	late := s.stream("job", "3") // what was heard twice is there once
	expectEvents(t, late, append(span(4, last), next)...)
}

// TestRepairKeepsUp: records go on while a room reads what it missed, and reads
// fail in between.
func TestRepairKeepsUp(t *testing.T) {
	t.Parallel()
	s := setup(t, options{withoutDB: true})
	clients := s.watch("job", 0)
	var n atomic.Int64
	s.tail.lose(func(messaging.Live) bool { return n.Add(1)%10 == 0 })
	for range 100 {
		s.log.publish("job", 20)
		s.log.set(func(l *memoryLog) { l.failReads = 1 })
	}
	s.tail.lose(nil)
	last := s.log.publish("job", 1)
	for _, c := range clients {
		expectEvents(t, c, span(1, last)...)
	}
}

// TestRepairReadsAllAnnouncedRecords: records that come while a repair reads are
// its own to read, without waiting for a check.
func TestRepairReadsAllAnnouncedRecords(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := setup(t, options{pipe: true, config: rarelyChecked})
		clients := s.watch("job", 10)
		time.Sleep(time.Minute)
		gate := make(chan struct{})
		s.log.set(func(l *memoryLog) { l.gate = gate })
		s.tail.lose(func(live messaging.Live) bool { return live.Sequence == 11 })
		s.log.publish("job", 2)
		synctest.Wait() // the repair reads
		s.log.publish("job", 600)
		synctest.Wait()
		s.log.set(func(l *memoryLog) { l.gate = nil })
		close(gate)
		started := time.Now()
		for _, c := range clients {
			expectEvents(t, c, span(11, 612)...)
		}
		if took := time.Since(started); took > time.Second {
			t.Errorf("took %s", took)
		}
	})
}

// TestRoomLingers: a room is kept for a while after its last client, so that
// whoever comes back finds recent events; then it is closed, and a later client
// opens it again.
func TestRoomLingers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := setup(t, options{pipe: true, config: unhurried})
		for round := range 3 {
			c := s.connect()
			c.subscribe("job")
			for m := c.next(); m.Name != messaging.EventCaughtUp; m = c.next() {
			}
			time.Sleep(5 * time.Minute) // nothing happens, and the room stays
			last := s.log.publish("job", 3)
			sameSequences(t, collect(t, c, last, nil), span(last-2, last))
			c.close()
			synctest.Wait()
			missed := s.log.publish("job", 2)

			time.Sleep(20 * time.Second)
			if !s.tail.isFollowing("job") {
				t.Fatal("unfollowed within the linger time")
			}
			c = s.connect()
			c.resume("job", last)
			expectEvents(t, c, last+1, missed)
			expectCaughtUp(t, c, last, missed, 2, messaging.SourceMemory)
			c.emit("unsubscribe", request{JobID: "job"})
			expect(t, c, messaging.EventUnsubscribed)
			c.close()

			time.Sleep(time.Minute)
			if s.tail.isFollowing("job") {
				t.Fatal("still followed after the linger time")
			}
			s.log.publish("job", 1)
			s.log.set(func(*memoryLog) {
				if s.tail.follows != round+1 {
					t.Errorf("followed %d times in %d rounds", s.tail.follows, round+1)
				}
			})
		}
	})
}

// TestRepairsAreRecorded: the flight recorder has which events were missed live and read
// from the log, with their epoch, and no others.
func TestRepairsAreRecorded(t *testing.T) {
	t.Parallel()
	notes, err := recorder.New(recorder.Config{Bytes: 1 << 20, Events: 1000})
	if err != nil {
		t.Fatal(err)
	}
	s := setup(t, options{recorder: notes})
	clients := s.watch("job", 0)
	s.tail.lose(func(live messaging.Live) bool { return live.Sequence == 3 })
	s.log.publish("job", 5)
	for _, c := range clients {
		expectEvents(t, c, span(1, 5)...)
	}
	repaired := make(map[uint64]string)
	found, _ := notes.Find(recorder.Query{JobID: "job", Limit: recorder.MaxNotes})
	delivered := 0
	for _, note := range found {
		switch note.Stage {
		case recorder.StageRepaired:
			repaired[note.Sequence] = note.Epoch
		case recorder.StageDelivered:
			delivered++
		}
	}
	if epoch := repaired[3]; epoch == "" || delivered != 5 || repaired[1]+repaired[2] != "" {
		t.Errorf("recorded %+v", found)
	}
}
