package hub

import (
	"cmp"
	"container/list"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/messaging"
)

// The bounds of a [pageCache] in time. A page that nobody has read for cacheIdle is
// removed, and any page cacheAge after it was read from a store: for as long readers may be
// shown what the log's retention, or another program, has removed meanwhile.
const (
	cacheIdle = 5 * time.Second
	cacheAge  = 10 * time.Second
)

const (
	// jobsOfCache limits one job to a quarter of a cache.
	jobsOfCache = 4
	// cachedRecordBytes is about how much memory a record takes beside its body, its event
	// and its strings.
	cachedRecordBytes = 512
)

// pageCache has pages of history that were read a short time ago, with the events that
// were made of them, so that those who read the same pages again cause no read of a store
// and no encoding. At the bound in bytes, the page that was read the longest time ago is
// removed.
//
// A page has every record of its job in a range of sequences. The log does not change what
// it has stored, so that a page is right until its records are removed from the log; after
// that it is shown for at most cacheAge. After an erasure the cache has nothing of the job,
// and those who show a record check it against the erasures again.
//
// Methods may be called concurrently. Without a budget they do nothing.
type pageCache struct {
	budget          int64
	erased          *erased
	hits, evictions prometheus.Counter

	mu    sync.Mutex // guards the fields below, and those of the jobs and pages
	bytes int64
	jobs  map[string]*cachedJob
	// used has the pages, the one that was read last in front.
	used *list.List
}

// cachedJob is what a cache has of one job. It is of one epoch of the log.
type cachedJob struct {
	jobID, epoch string
	pages        []*cachedPage // ascending, and disjoint
	bytes        int64
	// oldest is the sequence of the oldest record of all, 0 while it is not known.
	oldest uint64
	// span is where the job's newest records were located.
	span cachedSpan
}

// cachedSpan is where the newest limit records of a job lie. The subscriptions of a gateway
// have the same limit, so that one span is enough for a job.
type cachedSpan struct {
	messaging.Span
	limit int
	at    time.Time
}

// cachedPage has every record of a job with after < sequence ≤ through, and at least one.
type cachedPage struct {
	job      *cachedJob
	after    uint64
	records  []cachedRecord
	bytes    int64
	readAt   time.Time
	usedAt   time.Time
	position *list.Element // in used
}

func (p *cachedPage) through() uint64 { return p.records[len(p.records)-1].Sequence }

// cachedRecord is a record, and the event that was made of it.
type cachedRecord struct {
	messaging.Record
	event *Event // nil: none was made yet, or no client can be shown the record
}

func (r *cachedRecord) size() int64 {
	size := int64(cachedRecordBytes + len(r.Body))
	if r.event != nil {
		size += int64(r.event.size())
	}
	return size
}

func newPageCache(budget int64, erased *erased, hits, evictions prometheus.Counter) *pageCache {
	return &pageCache{
		budget: budget, erased: erased, jobs: make(map[string]*cachedJob), used: list.New(), hits: hits, evictions: evictions,
	}
}

func (c *pageCache) enabled() bool { return c.budget > 0 }

// after returns records of a job that follow a sequence, without omissions, and at most
// limit of them; none when it does not have the first of these.
func (c *pageCache) after(at place, after uint64, limit int) []cachedRecord {
	if !c.enabled() {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	page := c.find(at, after)
	if page == nil {
		return nil
	}
	c.use(page)
	records := page.records[page.place(after+1):]
	return slices.Clone(records[:min(limit, len(records))])
}

// before returns records of a job that precede a sequence, without omissions, oldest first,
// and at most limit of them; none when it does not have the last of these. oldest reports
// that no record precedes them.
func (c *pageCache) before(at place, before uint64, limit int) (records []messaging.Record, oldest bool) {
	if !c.enabled() || before < 2 { // the first sequence is 1
		return nil, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	page := c.find(at, before-2)
	if page == nil {
		return nil, false
	}
	end := page.place(before)
	if end == 0 { // the sequence is that of the page's first record, or lies before it
		if page = c.find(at, page.after-1); page == nil {
			return nil, false
		}
		end = len(page.records)
	}
	c.use(page)
	records = make([]messaging.Record, 0, min(limit, end))
	for _, record := range page.records[max(0, end-limit):end] {
		records = append(records, record.Record)
	}
	return records, records[0].Sequence == page.job.oldest
}

// setOldest notes that no record of a job precedes the one with a sequence.
func (c *pageCache) setOldest(at place, sequence uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if job := c.of(at); job != nil {
		job.oldest = sequence
	}
}

// newest returns the sequence of the newest record of a job that the cache has, 0 without
// one.
func (c *pageCache) newest(at place) uint64 {
	if !c.enabled() {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	job := c.of(at)
	if job == nil {
		return 0
	}
	if last := job.pages[len(job.pages)-1]; !last.stale() {
		return last.through()
	}
	return 0
}

// span returns where the newest limit records of a job lie, if that is known for the job's
// present head.
func (c *pageCache) span(at place, limit int) (messaging.Span, bool) {
	if !c.enabled() || at.head == 0 {
		return messaging.Span{}, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	job := c.of(at)
	if job == nil {
		return messaging.Span{}, false
	}
	found := job.span
	return found.Span, found.limit == limit && found.Last == at.head && time.Since(found.at) < cacheAge
}

// putSpan adds where the newest limit records of a job lie. If there are fewer, there are
// no others.
func (c *pageCache) putSpan(at place, limit int, found messaging.Span) {
	if !c.enabled() || found.Count == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	job := c.of(at)
	if job == nil {
		return // the first page adds the job
	}
	job.span = cachedSpan{Span: found, limit: limit, at: time.Now()}
	if found.Count < limit {
		job.oldest = found.First
	}
}

// put adds the records of a job that follow a sequence, which may come with their events.
// What the cache has already stays.
func (c *pageCache) put(at place, after uint64, records []messaging.Record, events []*Event) {
	if !c.enabled() || len(records) == 0 || slices.ContainsFunc(records, func(r messaging.Record) bool { return r.Epoch != at.epoch || r.Sequence == 0 }) {
		return
	}
	page := &cachedPage{after: after, readAt: time.Now()}
	for _, record := range records {
		added := cachedRecord{Record: record}
		if len(events) > 0 && events[0].Sequence == record.Sequence {
			added.event, events = events[0], events[1:]
			added.event.Wire.Settle()
		}
		page.records = append(page.records, added)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	// After an erasure was noted nothing that it covers is added; what was added before is
	// removed by forget.
	if kept := c.erased.of(at.jobID).firstKept(at.epoch); kept > 0 {
		page.cutBefore(kept)
	}
	c.add(at, page)
}

// putBefore adds the newest records of a job below a sequence.
func (c *pageCache) putBefore(at place, before uint64, records []messaging.Record) {
	if !c.enabled() || len(records) == 0 {
		return
	}
	c.put(at, records[0].Sequence-1, records, nil)
	c.mu.Lock()
	defer c.mu.Unlock()
	// The page with the next record begins where this one ends.
	last := lastSequence(records)
	if next := c.find(at, before-1); next != nil && next.records[0].Sequence == before && next.after > last {
		if previous := c.find(at, last-1); previous != nil && previous.through() == last {
			next.after = last
		}
	}
}

// extend adds the record that follows the newest one of its job, if the cache has that.
func (c *pageCache) extend(record messaging.Live, ev *Event) {
	if !c.enabled() || ev == nil || record.Previous == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	at := place{jobID: record.JobID, epoch: record.Epoch}
	job := c.of(at)
	if job == nil || c.erased.covers(record.Record) {
		return
	}
	last := job.pages[len(job.pages)-1]
	if last.through() != record.Previous || last.stale() {
		return
	}
	added := cachedRecord{Record: record.Record, event: ev}
	if last.bytes < sourcePageBytes {
		last.records = append(last.records, added)
		c.grow(last, added.size())
	} else {
		c.add(at, &cachedPage{after: record.Previous, records: []cachedRecord{added}, readAt: last.readAt})
	}
	if span := &job.span; span.Last == record.Previous {
		span.Last = record.Sequence
		if span.Count++; span.Count > span.limit {
			if next := c.find(at, span.First); next != nil {
				span.First, span.Count, span.Older = next.records[next.place(span.First+1)].Sequence, span.limit, true
			} else {
				*span = cachedSpan{}
			}
		}
	}
	c.evict(job)
}

// attach notes the event of a record that the cache has.
func (c *pageCache) attach(at place, ev *Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	page := c.find(at, ev.Sequence-1)
	if page == nil {
		return
	}
	record := &page.records[page.place(ev.Sequence)]
	if record.Sequence != ev.Sequence || record.event != nil {
		return
	}
	ev.Wire.Settle()
	record.event = ev
	c.grow(page, int64(ev.size()))
	c.evict(page.job)
}

// forget removes what the cache has of a job.
func (c *pageCache) forget(jobID string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if job := c.jobs[jobID]; job != nil {
		c.drop(job)
	}
}

// expire removes the pages that are too old, or that are not read.
func (c *pageCache) expire(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for e := c.used.Back(); e != nil; {
		page := e.Value.(*cachedPage)
		e = e.Prev()
		if page.stale() || now.Sub(page.usedAt) > cacheIdle {
			c.remove(page)
		}
	}
}

// size returns how many bytes the cache has.
func (c *pageCache) size() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bytes
}

// of returns what the cache has of a job, which is at least one page; nil for another epoch.
// The mutex is held.
func (c *pageCache) of(at place) *cachedJob {
	if job := c.jobs[at.jobID]; job != nil && job.epoch == at.epoch {
		return job
	}
	return nil
}

// find returns the page that has the first record after a sequence, nil without one. The
// mutex is held.
func (c *pageCache) find(at place, after uint64) *cachedPage {
	job := c.of(at)
	if job == nil || after == math.MaxUint64 {
		return nil
	}
	i, _ := slices.BinarySearchFunc(job.pages, after+1, func(page *cachedPage, sequence uint64) int {
		return cmp.Compare(page.through(), sequence)
	})
	if i == len(job.pages) || job.pages[i].after > after || job.pages[i].stale() {
		return nil
	}
	return job.pages[i]
}

// use notes that a page is read. The mutex is held.
func (c *pageCache) use(page *cachedPage) {
	page.usedAt = time.Now()
	c.used.MoveToFront(page.position)
	c.hits.Inc()
}

// add adds a page, without what other pages have. The mutex is held.
func (c *pageCache) add(at place, page *cachedPage) {
	job := c.jobs[at.jobID]
	if job != nil && job.epoch != at.epoch {
		c.drop(job)
		job = nil
	}
	if job == nil {
		job = &cachedJob{jobID: at.jobID, epoch: at.epoch}
	}
	i, _ := slices.BinarySearchFunc(job.pages, page.after, func(other *cachedPage, after uint64) int { return cmp.Compare(other.through(), after) })
	for i < len(job.pages) && len(page.records) > 0 {
		switch other := job.pages[i]; {
		case other.through() <= page.after: // it ends where the page begins
			i++
			continue
		case other.after <= page.after:
			page.cutBefore(other.through() + 1)
			i++
			continue
		default:
			page.cutFrom(other.after + 1)
		}
		break
	}
	if len(page.records) == 0 {
		return
	}
	for i := range page.records {
		page.bytes += page.records[i].size()
	}
	if page.bytes > c.budget/jobsOfCache {
		return
	}
	c.jobs[at.jobID] = job
	page.job, page.usedAt = job, time.Now()
	job.pages = slices.Insert(job.pages, i, page)
	page.position = c.used.PushFront(page)
	c.bytes += page.bytes
	job.bytes += page.bytes
	c.evict(job)
}

// grow notes that a page takes more memory. The mutex is held.
func (c *pageCache) grow(page *cachedPage, bytes int64) {
	page.bytes += bytes
	page.job.bytes += bytes
	c.bytes += bytes
}

// evict keeps the bounds in bytes, of a job and of the cache. The mutex is held.
func (c *pageCache) evict(job *cachedJob) {
	for job.bytes > c.budget/jobsOfCache {
		c.remove(slices.MinFunc(job.pages, func(a, b *cachedPage) int { return a.usedAt.Compare(b.usedAt) }))
		c.evictions.Inc()
	}
	for c.bytes > c.budget {
		c.remove(c.used.Back().Value.(*cachedPage))
		c.evictions.Inc()
	}
}

// remove removes a page. The mutex is held.
func (c *pageCache) remove(page *cachedPage) {
	job := page.job
	c.used.Remove(page.position)
	c.bytes -= page.bytes
	job.bytes -= page.bytes
	job.pages = slices.DeleteFunc(job.pages, func(other *cachedPage) bool { return other == page })
	if len(job.pages) == 0 {
		delete(c.jobs, job.jobID)
	}
}

// drop removes all pages of a job. The mutex is held.
func (c *pageCache) drop(job *cachedJob) {
	for len(job.pages) > 0 {
		c.remove(job.pages[0])
	}
}

// stale reports whether the page was read too long ago.
func (p *cachedPage) stale() bool { return time.Since(p.readAt) > cacheAge }

// place returns the index of the first record from a sequence on.
func (p *cachedPage) place(sequence uint64) int {
	i, _ := slices.BinarySearchFunc(p.records, sequence, func(record cachedRecord, sequence uint64) int {
		return cmp.Compare(record.Sequence, sequence)
	})
	return i
}

// cutBefore removes the records below a sequence. It copies the others, so that nothing
// holds the bodies of those that are removed.
func (p *cachedPage) cutBefore(sequence uint64) {
	if p.after < sequence-1 {
		p.records, p.after = slices.Clone(p.records[p.place(sequence):]), sequence-1
	}
}

// cutFrom removes the records from a sequence on, likewise.
func (p *cachedPage) cutFrom(sequence uint64) {
	p.records = slices.Clone(p.records[:p.place(sequence)])
}
