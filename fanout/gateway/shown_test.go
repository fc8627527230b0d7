package gateway_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

// numbered returns an event of a job that no other has, as it was published at.
func numbered(kind messaging.Kind, number int, at time.Time) messaging.Record {
	content := fmt.Sprintf(`"event":{"type":"chapter.saved","chapter":%d}`, number)
	if kind == messaging.KindJobStatus {
		content = fmt.Sprintf(`"status":"running","snapshot":{"chapter":%d}`, number)
	}
	return messaging.Record{
		JobID: "job", Kind: kind, EmittedAt: messaging.FormatTime(at), StoredAt: at,
		Body: fmt.Appendf(nil, `{"version":1,"kind":%q,"jobId":"job",%s}`, kind, content),
	}
}

// TestEventInBothForms: a worker's document and the record of the same event reach a
// subscription as one event, whichever it is shown first.
func TestEventInBothForms(t *testing.T) {
	t.Parallel()
	const slow = 100 * time.Millisecond
	for _, kind := range []messaging.Kind{messaging.KindDomain, messaging.KindJobStatus} {
		for _, test := range []struct {
			name   string
			stored int           // records before, of other events
			age    time.Duration // of the document when the client subscribes
			wait   time.Duration // then, before the record reaches the log
			equal  int           // records with the document's content
			want   int           // events with the document's content
		}{
			{name: "the record comes after the document was shown", wait: time.Second, equal: 1, want: 1},
			{name: "in a job with records", stored: 3, wait: time.Second, equal: 1, want: 1},
			{name: "two equal events of which one has a document", wait: time.Second, equal: 2, want: 2},
			{name: "the record is delivered before MongoDB has answered", equal: 1, want: 1},
			{name: "two of them, and one document", equal: 2, want: 2},
			{name: "an old document", age: time.Hour, wait: time.Second, equal: 1, want: 2},
			{name: "an old document after the record", age: time.Hour, equal: 1, want: 2},
			{name: "a record that comes too late", wait: 2 * time.Minute, equal: 1, want: 2},
		} {
			t.Run(string(kind)+": "+test.name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					log := newMemoryLog()
					s := setup(t, options{pipe: true, config: unhurried, log: log})
					log.publish("job", test.stored)
					log.set(func(l *memoryLog) {
						l.mongoHangs = slow
						l.legacy["job"] = []messaging.Record{numbered(kind, 1, time.Now().Add(-test.age))}
					})
					c := s.connect()
					c.subscribe("job")
					synctest.Wait()
					time.Sleep(test.wait)
					for range test.equal {
						log.append(numbered(kind, 1, time.Now()))
					}
					log.append(numbered(kind, 2, time.Now()))
					time.Sleep(time.Second) // for MongoDB's answers
					last := log.append(numbered(kind, 3, time.Now()))
					got := 0
					for m := c.next(); m.Sequence != last; m = c.next() {
						if content := string(m.Event) + string(m.Snapshot); content == `{"type":"chapter.saved","chapter":1}` || content == `{"chapter":1}` {
							got++
						}
						if m.Name == messaging.EventCaughtUp && test.wait == 0 && test.want == 1 && m.Replayed != 0 {
							t.Errorf("caught up %s", m.Raw)
						}
					}
					if got != test.want {
						t.Errorf("shown %d times, want %d", got, test.want)
					}
				})
			})
		}
	}
}
