package gateway_test

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/fanout/hub"
	"github.com/letswriteabook/realtime/messaging"
)

// silentLogProjection cannot say which documents the log has records of, while silent is
// set.
type silentLogProjection struct {
	hub.Projection
	silent atomic.Bool
	asked  atomic.Int64
}

func (p *silentLogProjection) FindLegacy(ctx context.Context, jobID string, limit int) ([]string, error) {
	p.asked.Add(1)
	if p.silent.Load() {
		return nil, hub.ErrLog
	}
	return p.Projection.FindLegacy(ctx, jobID, limit)
}

// TestASilentLogShowsNothingTwice: while the log does not say which documents are of events
// that it has, none of them is shown. A page fails, a subscription waits, and MongoDB is
// asked for the rest as before.
func TestASilentLogShowsNothingTwice(t *testing.T) {
	t.Parallel()
	log := newMemoryLog()
	reads := &silentLogProjection{Projection: memoryProjection{log}}
	reads.silent.Store(true)
	s := setup(t, options{log: log, reads: reads})
	log.publish("job", 2)
	log.set(func(l *memoryLog) {
		l.legacy["job"] = []messaging.Record{numbered(messaging.KindDomain, 1, time.Now().Add(-time.Hour))}
	})
	if got := s.get("/api/novel/job/events", ""); got.status == http.StatusOK {
		t.Errorf("a page that may hold an event twice: %s", got.body)
	}
	c := s.connect()
	c.subscribe("job")
	for reads.asked.Load() < 3 { // the subscription asks again and again
		time.Sleep(time.Millisecond)
	}
	reads.silent.Store(false)
	if got := s.events("job", ""); got.Count != 3 || got.Incomplete {
		t.Errorf("%d items, incomplete: %t", got.Count, got.Incomplete)
	}
	for events := 0; events < 3; {
		switch m := c.next(); m.Name {
		case "novel.domain-event", "novel.generation-event":
			events++
		case messaging.EventCaughtUp:
			t.Fatalf("caught up after %d events: %s", events, m.Raw)
		}
	}
}
