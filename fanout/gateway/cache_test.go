package gateway_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

// reads returns how many requests for pages the stores have had.
func (s *stage) reads() int {
	reads := 0
	s.log.set(func(l *memoryLog) { reads = l.reads + l.searches + l.asked })
	return reads
}

// withCaches runs a test with MongoDB and without, on gateways that have a cache.
func withCaches(t *testing.T, test func(t *testing.T, s *stage)) {
	for _, withoutDB := range []bool{false, true} {
		t.Run(fmt.Sprintf("without MongoDB %t", withoutDB), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				test(t, setup(t, options{pipe: true, config: unhurried, withoutDB: withoutDB, cacheBytes: 64 << 20}))
			})
		})
	}
}

// TestNewestPageIsReadOnce: those who subscribe to a job, or request its newest events,
// with or without a bound on the time, cause no read of a store after the first of them.
func TestNewestPageIsReadOnce(t *testing.T) {
	t.Parallel()
	withCaches(t, func(t *testing.T, s *stage) {
		const events = 40
		var newest uint64
		for range events {
			newest = s.log.append(record("job", 50_000))
			s.log.publish("other", 1)
		}
		subscribe := func() {
			c := s.connect()
			defer c.close()
			c.subscribe("job")
			var got []uint64
			for len(got) < events {
				got = append(got, c.next().Sequence)
			}
			if got[0] != 1 || got[events-1] != newest || !slices.IsSorted(got) {
				t.Errorf("a subscriber got %v", got)
			}
		}
		queries := []string{"limit=1", "limit=5", "limit=1&since=2020-01-01T00:00:00.000Z", "limit=5&since=" + emittedAt(newest-6)}
		wanted := [][]uint64{{newest}, sequencesBack(newest, 5), {newest}, sequencesBack(newest, 3)}
		list := func() {
			for i, query := range queries {
				if got := s.events("job", query).sequences(); !slices.Equal(got, wanted[i]) {
					t.Errorf("%s: got %v, want %v", query, got, wanted[i])
				}
			}
		}
		subscribe()
		list()
		time.Sleep(3 * time.Second) // the room has closed
		reads := s.reads()
		for range 3 {
			subscribe()
			list()
			time.Sleep(3 * time.Second)
		}
		if again := s.reads(); again != reads {
			t.Errorf("further readers caused %d reads", again-reads)
		}
	})
}

// sequencesBack returns every second sequence from one down.
func sequencesBack(newest uint64, n int) (all []uint64) {
	for range n {
		all = append(all, newest)
		newest -= 2
	}
	return all
}

// TestCachedPageIsCurrent: what a cache has does not hide what was stored after it,
// whether the job is followed or not.
func TestCachedPageIsCurrent(t *testing.T) {
	t.Parallel()
	withCaches(t, func(t *testing.T, s *stage) {
		newest := s.log.publish("job", 20)
		expectNewest := func() {
			t.Helper()
			sameSequences(t, s.events("job", "limit=2").sequences(), back(newest, newest-1))
			c := s.connect()
			defer c.close()
			c.subscribe("job")
			expectEvents(t, c, span(1, newest)...)
		}
		expectNewest()
		newest = s.log.publish("job", 1)
		expectNewest()
		follower := s.connect()
		follower.resume("job", newest)
		synctest.Wait()
		newest = s.log.publish("job", 3)
		expectNewest()
		s.tail.lose(func(messaging.Live) bool { return true })
		newest = s.log.publish("job", 1)
		expectNewest()
	})
}

// TestCacheForgets: a cache has nothing of an earlier epoch, nothing for longer than a
// minute, and, once nobody reads, nothing at all.
func TestCacheForgets(t *testing.T) {
	t.Parallel()
	withCaches(t, func(t *testing.T, s *stage) {
		size := func() float64 { return s.metric("realtime_fanout_cache_bytes") }
		s.log.publish("job", 20)
		sameSequences(t, s.events("job", "limit=20").sequences(), back(20, 1))
		if size() == 0 {
			t.Error("nothing was kept")
		}
		s.log.set(func(l *memoryLog) { l.renew() })
		s.log.publish("job", 2)
		sameSequences(t, s.events("job", "limit=20").sequences(), back(2, 1))
		s.log.set(func(l *memoryLog) {
			l.retain(2)
			delete(l.documents, "job")
			l.documents["job"] = slices.Clone(l.jobs["job"])
		})
		for range 20 { // read all the time
			s.events("job", "limit=20")
			time.Sleep(4 * time.Second)
		}
		sameSequences(t, s.events("job", "limit=20").sequences(), back(2, 2))
		time.Sleep(20 * time.Second)
		if size() != 0 {
			t.Errorf("%v bytes are kept for nobody", size())
		}
	})
}
