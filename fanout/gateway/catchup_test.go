package gateway_test

import (
	"testing"
	"testing/synctest"

	"github.com/letswriteabook/realtime/messaging"
)

func TestFreshCatchUpThenLive(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		stored  int
		limit   int
		due     []uint64
		without bool
		from    uint64
		source  messaging.Source
	}{
		{name: "all of it", stored: 5, due: span(1, 5), source: messaging.SourceMongoDB},
		{name: "the newest 250", stored: 300, due: span(51, 300), from: 50, source: messaging.SourceMongoDB},
		{name: "the newest 250 of the log", stored: 300, due: span(51, 300), from: 50, without: true, source: messaging.SourceLog},
		{name: "exactly 250", stored: 250, due: span(1, 250), source: messaging.SourceMongoDB},
		{name: "another limit", stored: 12, limit: 10, due: span(3, 12), from: 2, source: messaging.SourceMongoDB},
		{name: "nothing", source: messaging.SourceNone},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := setup(t, options{withoutDB: test.without, catchUp: test.limit})
			s.log.publish("job", test.stored)
			c := s.connect()
			c.subscribe("job")
			for _, sequence := range test.due {
				m := expect(t, c, "novel.domain-event")
				if m.Sequence != sequence || m.EmittedAt != emittedAt(sequence) || m.JobID != "job" {
					t.Fatalf("got %s, want sequence %d", m.Raw, sequence)
				}
			}
			stored := uint64(test.stored)
			expectCaughtUp(t, c, test.from, stored, len(test.due), test.source)
			s.log.publish("job", 3)
			expectEvents(t, c, span(stored+1, stored+3)...)
		})
	}
}

func TestResume(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		since  uint64
		due    []uint64
		source messaging.Source
	}{
		{name: "from the beginning", since: 0, due: span(1, 600), source: messaging.SourceMongoDB},
		{name: "in the middle", since: 150, due: span(151, 600), source: messaging.SourceMongoDB},
		{name: "one behind", since: 599, due: span(600, 600), source: messaging.SourceMongoDB},
		{name: "at the head", since: 600, source: messaging.SourceNone},
	} {
		for _, without := range []bool{false, true} {
			name, source := test.name, test.source
			if without && source == messaging.SourceMongoDB {
				name, source = name+" of the log", messaging.SourceLog
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s := setup(t, options{withoutDB: without})
				s.log.publish("job", 600)
				c := s.connect()
				c.resume("job", test.since)
				expectEvents(t, c, test.due...)
				expectCaughtUp(t, c, test.since, 600, len(test.due), source)
				s.log.publish("job", 1)
				expectEvents(t, c, 601)
			})
		}
	}
}

func TestRecentEventsComeFromMemory(t *testing.T) {
	t.Parallel()
	s := setup(t, options{catchUp: 10})
	first := s.connect()
	first.subscribe("job")
	expectCaughtUp(t, first, 0, 0, 0, messaging.SourceNone)
	s.log.publish("job", 40)
	expectEvents(t, first, span(1, 40)...)
	s.log.set(func(l *memoryLog) { l.down, l.mongoDown = true, true }) // nobody else can be asked

	fresh := s.connect()
	fresh.subscribe("job")
	expectEvents(t, fresh, span(31, 40)...)
	expectCaughtUp(t, fresh, 30, 40, 10, messaging.SourceMemory)

	resumed := s.connect()
	resumed.resume("job", 12)
	expectEvents(t, resumed, span(13, 40)...)
	expectCaughtUp(t, resumed, 12, 40, 28, messaging.SourceMemory)
}

// legacyStatus is a document that an older writer left.
func legacyStatus(jobID, emittedAt string) messaging.Record {
	return messaging.Record{
		JobID: jobID, Kind: messaging.KindJobStatus, EmittedAt: emittedAt,
		Body: []byte(`{"version":1,"kind":"job-status","jobId":"` + jobID + `","status":"running"}`),
	}
}

func TestDocumentsOfOlderWritersComeFirst(t *testing.T) {
	t.Parallel()
	old := []string{"2020-01-01T00:00:01.000Z", "2020-01-01T00:00:02.000Z", "2020-01-01T00:00:03.000Z"}
	zero := uint64(0)
	for _, test := range []struct {
		name   string
		limit  int
		since  *uint64
		stored int
		old    []string
		due    []uint64
		from   uint64
		source messaging.Source
	}{
		{name: "all", stored: 5, old: old, due: span(1, 5), source: messaging.SourceMongoDB},
		{name: "as many as are left", limit: 6, stored: 5, old: old[2:], due: span(1, 5), source: messaging.SourceMongoDB},
		{name: "none left", limit: 5, stored: 5, due: span(1, 5), source: messaging.SourceMongoDB},
		{name: "nothing else", stored: 0, old: old, source: messaging.SourceMongoDB},
		{name: "since 0", since: &zero, limit: 2, stored: 5, old: old, due: span(1, 5), source: messaging.SourceMongoDB},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := setup(t, options{catchUp: test.limit})
			s.log.publish("job", test.stored)
			s.log.set(func(l *memoryLog) {
				for _, at := range old {
					l.legacy["job"] = append(l.legacy["job"], legacyStatus("job", at))
				}
			})
			c := s.connect()
			c.emit("subscribe", request{JobID: "job", Since: test.since})
			expect(t, c, messaging.EventSubscribed)
			for _, at := range test.old {
				if m := expect(t, c, messaging.EventJobStatus); m.Sequence != 0 || m.EmittedAt != at || string(m.Snapshot) != "null" {
					t.Fatalf("got %s, want the document of %s", m.Raw, at)
				}
			}
			expectEvents(t, c, test.due...)
			expectCaughtUp(t, c, test.from, uint64(test.stored), len(test.old)+len(test.due), test.source)
			next := s.log.publish("job", 1)
			expectEvents(t, c, next)
		})
	}
}

func TestSyntheticStatus(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	s.log.set(func(l *memoryLog) {
		l.heads["known"] = messaging.JobHead{Status: "completed", EmittedAt: emittedAt(7)}
		l.heads["drawn"] = messaging.JobHead{Status: "running", EmittedAt: emittedAt(8), Snapshot: []byte(`{"words":3}`)}
	})
	for _, test := range []struct{ job, status, snapshot, at string }{
		{"known", "completed", "null", emittedAt(7)},
		{"drawn", "running", `{"words":3}`, emittedAt(8)},
	} {
		c := s.connect()
		c.subscribe(test.job)
		m := expect(t, c, messaging.EventJobStatus)
		if m.Status != test.status || string(m.Snapshot) != test.snapshot || m.EmittedAt != test.at || m.JobID != test.job {
			t.Errorf("got %s", m.Raw)
		}
		expectCaughtUp(t, c, 0, 0, 1, messaging.SourceAggregate)
	}
	c := s.connect()
	c.subscribe("unknown")
	expectCaughtUp(t, c, 0, 0, 0, messaging.SourceNone)

	s.log.publish("known", 1)
	c.subscribe("known")
	expectEvents(t, c, 1) // and no status beside it
	expect(t, c, messaging.EventCaughtUp)
}

// TestRecordsThatCannotBeShown: a kind that the catalogue lost costs a client
// that record, and nothing else.
func TestRecordsThatCannotBeShown(t *testing.T) {
	t.Parallel()
	strange := func(s *stage) uint64 {
		r := record("job", 0)
		r.Kind = "forgotten"
		return s.log.append(r)
	}
	for _, test := range []struct {
		name  string
		store func(s *stage)
		due   []uint64
		head  uint64
	}{
		{name: "in the middle", store: func(s *stage) { s.log.publish("job", 2); strange(s); s.log.publish("job", 2) }, due: []uint64{1, 2, 4, 5}, head: 5},
		{name: "at the end", store: func(s *stage) { s.log.publish("job", 2); strange(s) }, due: []uint64{1, 2}, head: 3},
		{name: "only", store: func(s *stage) { strange(s); strange(s) }, head: 2},
		{name: "a page of them", store: func(s *stage) {
			for range 300 {
				strange(s)
			}
			s.log.publish("job", 1)
		}, due: []uint64{301}, head: 301},
	} {
		for _, since := range []string{"", "0"} {
			for _, without := range []bool{false, true} {
				t.Run(test.name+since, func(t *testing.T) {
					t.Parallel()
					s := setup(t, options{withoutDB: without})
					test.store(s)
					c := s.stream("job", since)
					expectEvents(t, c, test.due...)
					if m := expect(t, c, messaging.EventCaughtUp); m.To != test.head {
						t.Errorf("caught up to %d, want %d", m.To, test.head)
					}
					strange(s)
					expectEvents(t, c, s.log.publish("job", 1))
				})
			}
		}
	}
}

// TestManyReadersShareOneRead: a crowd that comes back at once costs the stores
// one read a page, not one a client.
func TestManyReadersShareOneRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := setup(t, options{pipe: true, config: unhurried, withoutDB: true})
		s.log.publish("job", 100)
		gate := make(chan struct{})
		s.log.set(func(l *memoryLog) { l.gate = gate })
		clients := make([]*socketClient, 50)
		for i := range clients {
			clients[i] = s.connect()
			clients[i].subscribe("job")
		}
		synctest.Wait() // all ask
		close(gate)
		for _, c := range clients {
			expectEvents(t, c, span(1, 100)...)
			expectCaughtUp(t, c, 0, 100, 100, messaging.SourceLog)
		}
		s.log.set(func(l *memoryLog) {
			if l.reads != 1 {
				t.Errorf("%d reads for %d clients", l.reads, len(clients))
			}
		})
	})
}
