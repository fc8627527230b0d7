package gateway_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

// TestRemovedBeforeTheRoomReadThem: the log removes records before the job's room has
// read them, and MongoDB has them. They are the job's newest for whoever asks for these,
// and no older ones are.
func TestRemovedBeforeTheRoomReadThem(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name      string
		earlier   int // records of another job that the log removed before all else
		published int
		unread    uint64 // the newest of them
		purged    bool   // the job alone, and not the log
		due       int    // how many of the newest
	}{
		{name: "the newest", published: 60, unread: 16, due: 15},
		{name: "the newest, in a purge of the job", published: 60, unread: 16, purged: true, due: 15},
		{name: "all", published: 60, unread: 60, due: 15},
		{name: "all, in a purge of the job", published: 60, unread: 60, purged: true, due: 15},
		{name: "all of a few", published: 3, unread: 3, due: 3},
		{name: "all, in a log that had removed others", earlier: 5, published: 60, unread: 60, due: 15},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := setup(t, options{pipe: true, catchUp: 15, config: unhurried})
				s.log.publish("earlier", test.earlier)
				s.log.set(func(l *memoryLog) { l.retain(l.last + 1) })
				s.log.publish("other", 1) // which a purge of the job leaves there
				first := s.connect()
				first.subscribe("job")
				expect(t, first, messaging.EventCaughtUp)
				s.tail.lose(func(messaging.Live) bool { return true })
				newest := s.log.publish("job", test.published)
				s.log.set(func(l *memoryLog) { l.blind = test.unread })
				s.hub.Disrupted(messaging.DisruptionReconnect)
				synctest.Wait() // the room has read what is seen, and waits for the rest
				time.Sleep(300 * time.Millisecond)
				s.log.set(func(l *memoryLog) {
					l.blind = 0
					if test.purged {
						l.purge("job")
					} else {
						l.retain(newest + 1)
					}
				})
				time.Sleep(4 * time.Second) // less than the answer of a look-up is kept for

				c := s.connect()
				c.subscribe("job")
				from := newest - uint64(test.due)
				expectEvents(t, c, span(from+1, newest)...)
				expectCaughtUp(t, c, from, newest, test.due, messaging.SourceMongoDB)
				sameSequences(t, s.events("job", "limit=2").sequences(), back(newest, newest-1))

				s.tail.lose(nil)
				next := s.log.publish("job", 1)
				expectEvents(t, c, next)
				time.Sleep(300 * time.Millisecond) // until it is known to be in MongoDB
				sameSequences(t, s.events("job", "limit=2").sequences(), []uint64{next, newest})
			})
		})
	}
}

// expectRemoved expects what clients get that have 5 events when the log has removed 6 to
// 15: 16 after a gap, or all of them where MongoDB has them.
func expectRemoved(t *testing.T, clients []client, withoutDB bool) {
	t.Helper()
	for _, c := range clients {
		if withoutDB {
			expectGap(t, c, 5, 16, messaging.GapRetention)
			expectEvents(t, c, 16)
		} else {
			expectEvents(t, c, span(6, 16)...)
		}
	}
}

// TestRemovedBeforeALiveRecord: the log removes records that a room has not read yet,
// and then has a live one. That names nothing of the job before it, and still does not
// follow on what the room has.
func TestRemovedBeforeALiveRecord(t *testing.T) {
	t.Parallel()
	for _, withoutDB := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := setup(t, options{pipe: true, config: rarelyChecked, withoutDB: withoutDB})
			clients := s.watch("job", 5)
			s.tail.lose(func(messaging.Live) bool { return true })
			s.log.publish("job", 10)
			s.log.set(func(l *memoryLog) { l.blind = 10 })
			s.hub.Disrupted(messaging.DisruptionReconnect)
			time.Sleep(time.Second) // the room is compared with the log, and may be repaired, at this very moment
			s.tail.lose(nil)
			s.log.set(func(l *memoryLog) { l.blind = 0; l.retain(16) })
			s.log.publish("job", 1)
			expectRemoved(t, clients, withoutDB)
		})
	}
}

// TestRemovedBeforeAComparedRecord: the room is compared with the log after the removal,
// so that the newest record that it was told of is the live one, before that arrives.
// That there were others before it is not forgotten.
func TestRemovedBeforeAComparedRecord(t *testing.T) {
	t.Parallel()
	for _, withoutDB := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := setup(t, options{pipe: true, config: rarelyChecked, withoutDB: withoutDB})
			clients := s.watch("job", 5)
			s.tail.lose(func(messaging.Live) bool { return true })
			s.log.publish("job", 10)
			s.log.set(func(l *memoryLog) { l.blind = 10 })
			s.hub.Disrupted(messaging.DisruptionReconnect)
			time.Sleep(100 * time.Millisecond)
			synctest.Wait() // the room has learnt that there are records, and waits before it reads again
			s.tail.lose(nil)
			release := s.tail.hold()
			s.log.set(func(l *memoryLog) { l.blind = 0; l.retain(16) })
			s.log.publish("job", 1)
			s.hub.Disrupted(messaging.DisruptionReconnect)
			synctest.Wait() // the comparison has found the live record
			release()
			expectRemoved(t, clients, withoutDB)
		})
	}
}

// TestPurgedJobThatMongoHas: a job was purged, and other records around it were not.
// Before its room was opened the log had removed some, too.
func TestPurgedJobThatMongoHas(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := setup(t, options{pipe: true, catchUp: 15, config: unhurried})
		s.log.publish("other", 3)
		s.log.set(func(l *memoryLog) { l.retain(3) })
		newest := s.log.publish("job", 60)
		s.log.set(func(l *memoryLog) { l.purge("job") })
		c := s.connect()
		c.subscribe("job")
		expectEvents(t, c, span(newest-14, newest)...)
		expectCaughtUp(t, c, newest-15, newest, 15, messaging.SourceMongoDB)
	})
}

// TestRemovedBeforeTheSubscription: the log has removed a job, and MongoDB is away when a
// client subscribes. What MongoDB has of it is not due later, when the room repairs what
// it missed since.
func TestRemovedBeforeTheSubscription(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := setup(t, options{pipe: true, catchUp: 15, config: unhurried})
		last := s.log.publish("job", 60)
		s.log.set(func(l *memoryLog) {
			l.retain(last + 1)
			l.mongoDown = true
		})
		c := s.connect()
		c.subscribe("job")
		expectCaughtUp(t, c, last, last, 0, messaging.SourceNone)
		s.log.set(func(l *memoryLog) { l.mongoDown = false })
		time.Sleep(5 * time.Second) // MongoDB is asked again
		s.tail.lose(func(messaging.Live) bool { return true })
		s.log.publish("job", 6)
		expectEvents(t, c, span(last+1, last+6)...)
	})
}
