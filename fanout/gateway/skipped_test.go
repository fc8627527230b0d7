package gateway_test

import (
	"strings"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

// TestResumeAfterASkippedRecord: a client was shown a worker's document, and so is not
// sent the record of the same event. It is told that it has the record: when it comes
// back, over whichever transport, it is not sent it either.
func TestResumeAfterASkippedRecord(t *testing.T) {
	t.Parallel()
	// prepare stores one record and a young document of another event.
	prepare := func(t *testing.T, opts options) (*stage, *memoryLog) {
		log := newMemoryLog()
		opts.log, opts.config = log, unhurried
		s := setup(t, opts)
		log.publish("job", 1)
		log.set(func(l *memoryLog) {
			l.legacy["job"] = []messaging.Record{numbered(messaging.KindDomain, 1, time.Now())}
		})
		return s, log
	}
	repeated := func(m message) bool { return strings.Contains(string(m.Event), `"chapter":1}`) }

	t.Run("socket", func(t *testing.T) {
		t.Parallel()
		s, log := prepare(t, options{})
		c := s.connect()
		c.subscribe("job")
		expect(t, c, "novel.domain-event")
		expectEvents(t, c, 1)
		position := expect(t, c, messaging.EventCaughtUp).Position
		record := log.append(numbered(messaging.KindDomain, 1, time.Now()))
		if told := expect(t, c, messaging.EventCaughtUp); told.To != record || told.Replayed != 0 || told.Position == position {
			t.Errorf("told %s", told.Raw)
		} else {
			position = told.Position
		}
		c.close()
		last := log.append(numbered(messaging.KindDomain, 2, time.Now()))
		back := s.connect()
		back.emit("subscribe", map[string]string{"jobId": "job", "since": position})
		expect(t, back, messaging.EventSubscribed)
		for m := back.next(); m.Sequence != last; m = back.next() {
			if repeated(m) {
				t.Errorf("sent once more: %s", m.Raw)
			}
		}
	})

	t.Run("stream", func(t *testing.T) {
		t.Parallel()
		s, log := prepare(t, options{})
		c := s.stream("job", "")
		for c.next().Name != messaging.EventCaughtUp {
		}
		log.append(numbered(messaging.KindDomain, 1, time.Now()))
		told := expect(t, c, messaging.EventCaughtUp)
		if told.SSE == "" || told.SSE != told.Position {
			t.Errorf("the block has the id %q and says %s", told.SSE, told.Raw)
		}
		c.close()
		last := log.append(numbered(messaging.KindDomain, 2, time.Now()))
		back := s.stream("job", told.SSE)
		for m := back.next(); m.Sequence != last; m = back.next() {
			if repeated(m) {
				t.Errorf("sent once more: %s", m.Raw)
			}
		}
	})

	t.Run("recovered session", func(t *testing.T) {
		t.Parallel()
		s, log := prepare(t, options{sessions: newMemorySessions()})
		c := newRecoverer(t)
		c.connect(s)
		c.subscribe("job")
		c.until(log, messaging.EventCaughtUp, "job")
		log.append(numbered(messaging.KindDomain, 1, time.Now()))
		c.until(log, messaging.EventCaughtUp, "job")
		c.socket.Kill()
		last := log.append(numbered(messaging.KindDomain, 2, time.Now()))
		if !c.connect(s) {
			t.Fatal("not recovered")
		}
		clear(c.got) // the record in between is not due
		for m := c.next(log); m.Sequence != last; m = c.next(log) {
			if repeated(m) {
				t.Errorf("sent once more: %s", m.Raw)
			}
		}
	})
}
