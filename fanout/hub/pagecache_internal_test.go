package hub

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"pgregory.net/rapid"

	"github.com/letswriteabook/realtime/messaging"
)

// cacheModel is a log of a few jobs, and a cache that is given parts of it.
type cacheModel struct {
	cache  *pageCache
	jobs   []string
	stored map[string][]messaging.Record
	last   uint64
	epoch  string
}

func (m *cacheModel) append(jobID string, size int) messaging.Live {
	m.last++
	record := messaging.Record{Position: messaging.Position{Epoch: m.epoch, Sequence: m.last}, JobID: jobID, Body: make([]byte, size)}
	live := messaging.Live{Record: record, Previous: lastSequence(m.stored[jobID])}
	m.stored[jobID] = append(m.stored[jobID], record)
	return live
}

func (m *cacheModel) at(jobID string) place {
	return place{jobID: jobID, epoch: m.epoch, head: lastSequence(m.stored[jobID])}
}

func (m *cacheModel) event(record messaging.Record) *Event {
	ev := &Event{JobID: record.JobID, Sequence: record.Sequence, Payload: record.Body}
	ev.Wire = plainEncoder{}.Encode(ev)
	return ev
}

// following returns the records of a job with low < sequence < high.
func (m *cacheModel) following(jobID string, low, high uint64) (found []messaging.Record) {
	for _, record := range m.stored[jobID] {
		if record.Sequence > low && record.Sequence < high {
			found = append(found, record)
		}
	}
	return found
}

// check compares the cache's account with what it has.
func (m *cacheModel) check(t *rapid.T) {
	pages, total := 0, int64(0)
	for _, job := range m.cache.jobs {
		var bytes int64
		through := uint64(0)
		for _, page := range job.pages {
			if page.after < through {
				t.Fatalf("pages overlap at %d", page.after)
			}
			through = page.through()
			var size int64
			for i := range page.records {
				size += page.records[i].size()
			}
			if size != page.bytes {
				t.Fatalf("a page of %d bytes counts as %d", size, page.bytes)
			}
			bytes += size
			pages++
		}
		if bytes != job.bytes || bytes > m.cache.budget/jobsOfCache || len(job.pages) == 0 {
			t.Fatalf("job %s has %d pages of %d bytes, which count as %d", job.jobID, len(job.pages), bytes, job.bytes)
		}
		total += bytes
	}
	if total != m.cache.bytes || total > m.cache.budget || pages != m.cache.used.Len() {
		t.Fatalf("%d pages of %d bytes; %d and %d are noted", pages, total, m.cache.used.Len(), m.cache.bytes)
	}
}

// TestPageCache: whatever a cache was given in whatever order, its answers are parts of
// the log without omissions, and it keeps its bounds.
func TestPageCache(t *testing.T) {
	t.Parallel()
	answers := 0
	rapid.Check(t, func(rt *rapid.T) {
		counter := func(name string) prometheus.Counter { return prometheus.NewCounter(prometheus.CounterOpts{Name: name}) }
		m := &cacheModel{
			cache: newPageCache(80_000, newErased(), counter("hits"), counter("evictions")),
			jobs:  []string{"a", "b", "c"}, stored: make(map[string][]messaging.Record), epoch: "one",
		}
		job := rapid.SampledFrom(m.jobs)
		size := rapid.IntRange(0, 2000)
		number := func(rt *rapid.T, what string) uint64 { return rapid.Uint64Range(0, m.last+2).Draw(rt, what) }
		limits := rapid.IntRange(1, 20)
		compare := func(rt *rapid.T, got, want []messaging.Record) {
			if len(got) > 0 {
				answers++
			}
			if want = want[:min(len(got), len(want))]; !slices.EqualFunc(got, want, func(a, b messaging.Record) bool { return a.Position == b.Position }) {
				rt.Fatalf("got %v, want %v", got, want)
			}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"": m.check,
			"append": func(rt *rapid.T) {
				for range rapid.IntRange(1, 8).Draw(rt, "count") {
					live := m.append(job.Draw(rt, "job"), size.Draw(rt, "size"))
					if rapid.IntRange(0, 3).Draw(rt, "lost") > 0 {
						m.cache.extend(live, m.event(live.Record))
					}
				}
			},
			"put": func(rt *rapid.T) {
				jobID, after := job.Draw(rt, "job"), number(rt, "after")
				records := m.following(jobID, after, m.last+1)
				records = records[:min(len(records), limits.Draw(rt, "limit"))]
				var events []*Event
				for _, record := range records {
					if rapid.Bool().Draw(rt, "encoded") {
						events = append(events, m.event(record))
					}
				}
				m.cache.put(m.at(jobID), after, records, events)
			},
			"put before": func(rt *rapid.T) {
				jobID, before := job.Draw(rt, "job"), number(rt, "before")
				records := m.following(jobID, 0, before)
				m.cache.putBefore(m.at(jobID), before, records[max(0, len(records)-limits.Draw(rt, "limit")):])
			},
			"put span": func(rt *rapid.T) {
				jobID, limit := job.Draw(rt, "job"), limits.Draw(rt, "limit")
				m.cache.putSpan(m.at(jobID), limit, m.span(jobID, limit))
			},
			"after": func(rt *rapid.T) {
				jobID, after, limit := job.Draw(rt, "job"), number(rt, "after"), limits.Draw(rt, "limit")
				var got []messaging.Record
				for _, found := range m.cache.after(m.at(jobID), after, limit) {
					got = append(got, found.Record)
					if found.event == nil {
						m.cache.attach(m.at(jobID), m.event(found.Record))
					}
				}
				compare(rt, got, m.following(jobID, after, m.last+1))
			},
			"before": func(rt *rapid.T) {
				jobID, before := job.Draw(rt, "job"), number(rt, "before")
				before = min(before, lastSequence(m.stored[jobID])+1) // a caller does not ask beyond the newest
				got, oldest := m.cache.before(m.at(jobID), before, limits.Draw(rt, "limit"))
				all := m.following(jobID, 0, before)
				compare(rt, got, all[len(all)-min(len(got), len(all)):])
				if oldest && got[0].Sequence != all[0].Sequence {
					rt.Fatalf("record %d is not the oldest", got[0].Sequence)
				}
			},
			"span": func(rt *rapid.T) {
				jobID, limit := job.Draw(rt, "job"), limits.Draw(rt, "limit")
				if got, known := m.cache.span(m.at(jobID), limit); known && got != m.span(jobID, limit) {
					rt.Fatalf("the newest %d lie at %+v, want %+v", limit, got, m.span(jobID, limit))
				}
			},
			"forget": func(rt *rapid.T) { m.cache.forget(job.Draw(rt, "job")) },
			"renew": func(rt *rapid.T) {
				if rapid.IntRange(0, 9).Draw(rt, "renew") == 0 {
					m.epoch += "'"
					m.last = 0
					clear(m.stored)
				}
			},
		})
	})
	if answers == 0 {
		t.Error("the cache had nothing that was asked for")
	}
}

// span returns where the newest limit records of a job lie.
func (m *cacheModel) span(jobID string, limit int) messaging.Span {
	all := m.stored[jobID]
	found := all[max(0, len(all)-limit):]
	if len(found) == 0 {
		return messaging.Span{}
	}
	return messaging.Span{First: found[0].Sequence, Last: lastSequence(found), Count: len(found), Older: len(found) < len(all)}
}

// TestPageCacheInTime: a page goes when nobody has read it for a while, and in the end
// when it is read all the time.
func TestPageCacheInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "count"})
		m := &cacheModel{cache: newPageCache(1<<20, newErased(), counter, counter), stored: make(map[string][]messaging.Record), epoch: "one"}
		for i := range 3 {
			jobID := fmt.Sprint(i)
			m.append(jobID, 100)
			m.cache.put(m.at(jobID), 0, m.stored[jobID], nil)
		}
		has := func(jobID string) bool { return len(m.cache.after(m.at(jobID), 0, 1)) > 0 }
		for passed := time.Duration(0); passed < cacheAge; passed += cacheIdle / 2 {
			if !has("0") {
				t.Fatalf("after %s a page that is read was gone", passed)
			}
			time.Sleep(cacheIdle / 2)
			m.cache.expire(time.Now())
		}
		if m.cache.jobs["1"] != nil {
			t.Error("a page that nobody reads is kept")
		}
		time.Sleep(cacheIdle / 2)
		if has("0") {
			t.Error("a page that is read all the time is never read again from the store")
		}
		m.cache.expire(time.Now())
		if size := m.cache.size(); size != 0 || m.cache.used.Len() != 0 {
			t.Errorf("%d bytes are left", size)
		}
	})
}

// TestPageCacheAfterAnErasure: what was erased is not added, even by a read that began
// before.
func TestPageCacheAfterAnErasure(t *testing.T) {
	t.Parallel()
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "count"})
	erased := newErased()
	m := &cacheModel{cache: newPageCache(1<<20, erased, counter, counter), stored: make(map[string][]messaging.Record), epoch: "one"}
	for range 10 {
		m.append("job", 100)
	}
	erased.byJob.Store(&map[string]erasedThrough{"job": {{Epoch: "one", Sequence: 6}}})
	m.cache.put(m.at("job"), 0, m.stored["job"], nil)
	for after := range uint64(10) {
		got := m.cache.after(m.at("job"), after, 10)
		if want := int(10 - after); after < 6 && len(got) != 0 || after >= 6 && len(got) != want {
			t.Errorf("after %d: %d records", after, len(got))
		}
	}
}
