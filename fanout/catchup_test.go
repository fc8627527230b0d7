package fanout_test

import (
	"testing"

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
