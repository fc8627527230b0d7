package gateway_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/letswriteabook/realtime/fanout/hub"
	"github.com/letswriteabook/realtime/internal/outage"
	"github.com/letswriteabook/realtime/messaging"
)

// mongoWarning is what operators look for.
const mongoWarning = "MongoDB does not answer; catch-up is served from the log"

func TestMongoDownIsServedFromTheLog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := setup(t, options{pipe: true, config: unhurried})
		s.log.publish("job", 300)
		s.log.set(func(l *memoryLog) { l.mongoDown = true })
		for range 5 {
			c := s.connect()
			c.subscribe("job")
			expectEvents(t, c, span(51, 300)...)
			expectCaughtUp(t, c, 50, 300, 250, messaging.SourceLog)
			c.close()
			time.Sleep(3 * time.Second) // MongoDB is asked again in between
		}
		c := s.connect()
		c.subscribe("nothing")
		expectCaughtUp(t, c, 0, 0, 0, messaging.SourceNone)
		if n := s.diary.count("level=WARN", mongoWarning); n != 1 {
			t.Errorf("%d warnings, want one", n)
		}
		s.log.set(func(l *memoryLog) { l.mongoDown = false })
		time.Sleep(3 * time.Second)
		c.subscribe("job")
		expectEvents(t, c, span(51, 300)...)
		expectCaughtUp(t, c, 50, 300, 250, messaging.SourceMongoDB)
		time.Sleep(2 * outage.Calm)
		if n := s.diary.count("level=INFO", "MongoDB answers again"); n != 1 {
			t.Errorf("%d notes, want one", n)
		}
	})
}

// TestMongoIsAskedRarelyWhileDown: a long catch-up does not wait for a dead
// MongoDB once a page.
func TestMongoIsAskedRarelyWhileDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := setup(t, options{pipe: true, config: unhurried})
		s.log.publish("job", 3000)
		s.log.set(func(l *memoryLog) { l.mongoDown = true })
		c := s.connect()
		c.resume("job", 1)
		expectEvents(t, c, span(2, 3000)...)
		s.log.set(func(l *memoryLog) {
			if l.asked != 1 {
				t.Errorf("MongoDB was asked %d times", l.asked)
			}
		})
	})
}

// TestHangingMongoDelaysOnlyTheFirstCatchUp: while MongoDB takes long to fail, only the
// first catch-up waits for it; all others are served from the log at once.
func TestHangingMongoDelaysOnlyTheFirstCatchUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := setup(t, options{pipe: true, config: unhurried})
		s.log.publish("job", 300)
		s.log.set(func(l *memoryLog) { l.mongoDown, l.mongoHangs = true, 5*time.Second })
		for round := range 20 {
			began := time.Now()
			c := s.connect()
			c.resume("job", 1)
			expectEvents(t, c, span(2, 300)...)
			if took := time.Since(began); round > 0 && took > time.Second {
				t.Errorf("round %d waited %s", round, took)
			}
			c.close()
			time.Sleep(1700 * time.Millisecond) // in and out of step with the probes
		}
	})
}

// TestSlowMongo: a MongoDB that answers correctly, but after two seconds, counts as down.
// The first client waits for a second in total, however many pages there are, and the
// others do not wait. Once MongoDB is quick again it is queried again.
func TestSlowMongo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := setup(t, options{pipe: true, config: unhurried})
		s.log.publish("job", 3000)
		s.log.set(func(l *memoryLog) { l.mongoHangs = 2 * time.Second })
		for round := range 10 {
			began := time.Now()
			c := s.connect()
			c.resume("job", 1)
			expectEvents(t, c, span(2, 3000)...)
			if m := expect(t, c, messaging.EventCaughtUp); m.Source != messaging.SourceLog {
				t.Errorf("caught up %s", m.Raw)
			}
			c.subscribe("empty") // which has a status and older documents in MongoDB alone
			expect(t, c, messaging.EventCaughtUp)
			took, most := time.Since(began), time.Duration(0)
			if round == 0 {
				most = hub.DefaultConfig().ProjectionTimeout
			}
			if took > most+50*time.Millisecond {
				t.Errorf("round %d took %s", round, took)
			}
			c.close()
			time.Sleep(1700 * time.Millisecond) // in and out of step with the probes
		}
		if n := s.diary.count("level=WARN", mongoWarning); n != 1 {
			t.Errorf("%d warnings, want one", n)
		}
		s.log.set(func(l *memoryLog) { l.mongoHangs = 0 })
		time.Sleep(5 * time.Second)
		c := s.connect()
		c.subscribe("job")
		expectEvents(t, c, span(2751, 3000)...)
		expectCaughtUp(t, c, 2750, 3000, 250, messaging.SourceMongoDB)
	})
}

// TestSlowMongoHasWhatTheLogRemoved: what nobody but a slow MongoDB has is waited
// for, before and after it counts as down, and no client is told that it is gone.
func TestSlowMongoHasWhatTheLogRemoved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := setup(t, options{pipe: true, config: unhurried})
		s.log.publish("job", 300)
		s.log.set(func(l *memoryLog) {
			l.retain(200)
			l.mongoHangs = 2 * time.Second
		})
		for range 2 {
			c := s.connect()
			c.resume("job", 1)
			expectEvents(t, c, span(2, 300)...)
			expect(t, c, messaging.EventCaughtUp)
			c.close()
		}
		// One that does not answer at all is waited for once.
		s.log.set(func(l *memoryLog) { l.mongoDown, l.mongoHangs = true, time.Hour })
		for round := range 3 {
			began := time.Now()
			c := s.connect()
			c.resume("job", 1)
			if gap := expect(t, c, messaging.EventGap); gap.FirstAvailable != 200 {
				t.Errorf("gap %s", gap.Raw)
			}
			expectEvents(t, c, span(200, 300)...)
			if took := time.Since(began); round > 0 && took > 50*time.Millisecond {
				t.Errorf("round %d took %s", round, took)
			}
			c.close()
		}
	})
}

// TestDocumentsThatMongoMisses: what MongoDB should have and has not, the log
// serves.
func TestDocumentsThatMongoMisses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		missing func(sequence uint64) bool
	}{
		{name: "the newest", missing: func(sequence uint64) bool { return sequence > 280 }},
		{name: "all", missing: func(uint64) bool { return true }},
	} {
		for _, since := range []string{"", "50", "290"} {
			t.Run(test.name+" "+since, func(t *testing.T) {
				t.Parallel()
				s := setup(t, options{})
				s.log.publish("job", 300)
				s.log.set(func(l *memoryLog) {
					l.documents["job"] = slices.DeleteFunc(l.documents["job"], func(r messaging.Record) bool { return test.missing(r.Sequence) })
				})
				c := s.stream("job", since)
				from := uint64(51)
				if since == "290" {
					from = 291
				}
				expectEvents(t, c, span(from, 300)...)
				if m := expect(t, c, messaging.EventCaughtUp); m.To != 300 || m.Source != messaging.SourceLog {
					t.Errorf("caught up %s", m.Raw)
				}
				if since != "" && s.diary.count("level=WARN", "MongoDB misses documents") == 0 {
					t.Error("nobody was told")
				}
			})
		}
	}
}

func TestProjectionThatLags(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	s.log.publish("job", 200)
	s.log.set(func(l *memoryLog) { l.lags = true })
	s.log.publish("job", 200)

	fresh := s.stream("job", "")
	expectEvents(t, fresh, span(151, 400)...)
	expectCaughtUp(t, fresh, 150, 400, 250, messaging.SourceLog)

	resumed := s.stream("job", "20")
	expectEvents(t, resumed, span(21, 400)...)
	expectCaughtUp(t, resumed, 20, 400, 380, messaging.SourceLog)

	s.log.set(func(l *memoryLog) {
		if l.asked == 0 {
			t.Error("MongoDB was not asked for what it has")
		}
	})
	s.log.publish("job", 1)
	expectEvents(t, fresh, 401)
	expectEvents(t, resumed, 401)
}

// TestDocumentsPastTheFloor: batches are written in no order, so that what lies
// past the floor may have holes.
func TestDocumentsPastTheFloor(t *testing.T) {
	t.Parallel()
	for _, since := range []string{"", "50"} {
		t.Run(since, func(t *testing.T) {
			t.Parallel()
			s := setup(t, options{})
			s.log.publish("job", 100)
			s.log.set(func(l *memoryLog) { l.lags = true })
			s.log.publish("job", 20)
			s.log.set(func(l *memoryLog) {
				for _, r := range l.unprojected {
					if r.Sequence%3 == 0 {
						l.documents["job"] = append(l.documents["job"], r)
					}
				}
			})
			c := s.stream("job", since)
			from := uint64(1)
			if since != "" {
				from = 51
			}
			expectEvents(t, c, span(from, 120)...)
			expect(t, c, messaging.EventCaughtUp)
		})
	}
}

// TestReplicaThatLags: a read that does not see the newest records yet is asked
// again, and nothing is taken for gone.
func TestReplicaThatLags(t *testing.T) {
	t.Parallel()
	for _, since := range []string{"", "0", "60", "89"} {
		t.Run(since, func(t *testing.T) {
			t.Parallel()
			s := setup(t, options{withoutDB: true})
			s.log.publish("job", 90)
			s.log.set(func(l *memoryLog) { l.blind = 20 })
			c := s.stream("job", since)
			wait(t, "a read that sees too little", func() bool {
				s.log.mu.Lock()
				defer s.log.mu.Unlock()
				return s.log.reads+s.log.searches > 2
			})
			s.log.set(func(l *memoryLog) { l.blind = 0 })
			from := map[string]uint64{"": 1, "0": 1, "60": 61, "89": 90}[since]
			expectEvents(t, c, span(from, 90)...)
			if m := expect(t, c, messaging.EventCaughtUp); m.To != 90 {
				t.Errorf("caught up %s", m.Raw)
			}
		})
	}
}

func TestLogThatIsDownForAWhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := setup(t, options{pipe: true, config: unhurried, withoutDB: true})
		s.log.publish("job", 500)
		s.log.set(func(l *memoryLog) { l.down = true })
		s.tail.log.set(func(*memoryLog) { s.tail.followErr = errDown })
		var clients []*socketClient
		for i := range 20 {
			c := s.connect()
			c.resume("job", uint64(i))
			clients = append(clients, c)
		}
		time.Sleep(10 * time.Second)
		s.log.set(func(l *memoryLog) { l.down, s.tail.followErr = false, nil })
		for i, c := range clients {
			expectEvents(t, c, span(uint64(i)+1, 500)...)
			expect(t, c, messaging.EventCaughtUp)
		}
		time.Sleep(2 * outage.Calm) // otherwise it is one outage
		s.log.set(func(l *memoryLog) { l.down = true })
		for i, c := range clients {
			c.resume("job", uint64(i))
		}
		time.Sleep(10 * time.Second)
		s.log.set(func(l *memoryLog) { l.down = false })
		for i, c := range clients {
			expectEvents(t, c, span(uint64(i)+1, 500)...)
			expect(t, c, messaging.EventCaughtUp)
		}
		if n := s.diary.count("level=WARN"); n != 2 {
			t.Errorf("%d warnings for two outages", n)
		}
	})
}

// TestNewestEventsOfBothStores: while MongoDB does not have the newest record yet, and the
// log has removed the older ones, the newest events come from both, also of a job that was
// followed since before the log removed anything, and also of further readers.
func TestNewestEventsOfBothStores(t *testing.T) {
	t.Parallel()
	for _, cacheBytes := range []int64{0, 64 << 20} {
		synctest.Test(t, func(t *testing.T) {
			s := setup(t, options{pipe: true, config: unhurried, cacheBytes: cacheBytes})
			follower := s.connect()
			follower.subscribe("job")
			expect(t, follower, messaging.EventCaughtUp)
			s.log.publish("job", 2000)
			for follower.next().Sequence < 2000 {
			}
			s.log.set(func(l *memoryLog) { l.lags = true })
			s.log.publish("job", 1)
			expectEvents(t, follower, 2001) // the room has it, so that it is among the newest 250
			s.log.set(func(l *memoryLog) { l.retain(1901) })
			for round := range 3 {
				c := s.connect()
				c.subscribe("job")
				expectEvents(t, c, span(1752, 2001)...)
				expect(t, c, messaging.EventCaughtUp)
				c.close()
				got := s.events("job", "limit=250")
				sameSequences(t, got.sequences(), back(2001, 1752))
				if t.Failed() {
					t.Fatalf("round %d with a cache of %d bytes", round, cacheBytes)
				}
			}
		})
	}
}
