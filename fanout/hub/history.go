package hub

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"time"

	"github.com/letswriteabook/realtime/internal/outage"
	"github.com/letswriteabook/realtime/messaging"
)

var (
	// errBehind says that a read of the log did not find records that are there:
	// it was answered by a replica that lags. A retry helps.
	errBehind = errors.New("a replica of the log is behind")
	// errRenewed says that the log has begun a new epoch and the room has not restarted
	// yet. A retry helps once the room has been checked.
	errRenewed = errors.New("the log has begun a new epoch")
	// errUnrecorded says that no record of a job is known, and that MongoDB has not been
	// asked for what else it has of the job. A retry does not help.
	errUnrecorded = errors.New("the job has no record")
)

// history reads events behind a room's head from the nearest source that has them: the
// ring, MongoDB, the log. The source does not change the result, because MongoDB is used
// only up to its floor, below which it has every record.
//
// Methods may be called concurrently.
type history struct {
	log        Log
	projection Projection // nil without MongoDB
	work       gate       // bounds how many pages are encoded at a time
	encode     func(messaging.Record) *Event
	flights    *flights
	cache      *pageCache
	patience   time.Duration // bounds a read from MongoDB of records that the log also has
	logger     *slog.Logger

	mongoOutage *outage.Book

	mu sync.Mutex // guards the fields below
	// down is set from a failure of MongoDB until a probe of it succeeds. slow is set
	// with it while every failure was an answer that took too long.
	down, slow bool
	floor      floor
}

// page is one read of the history, oldest event first. It may be shared.
type page struct {
	events []*Event
	source messaging.Source
	// through is the sequence up to which the page is complete. It may lie past the last
	// event, because a record that no client can be shown is not an event.
	through uint64
	// firstAvailable is set when records before the page have been removed from the log,
	// or may have been: it is the first sequence that the log has.
	firstAvailable uint64
}

// place is where a job is in the log: its newest sequence, in which epoch.
type place struct {
	jobID string
	epoch string
	head  uint64
	// first is that of the room, 0 without a room. Below it the job may have had records
	// that the room never read.
	first uint64
	// erased is what was erased of the job. Once anything was, in whichever epoch, nothing
	// without a sequence is shown.
	erased erasedThrough
	// current is set when the log was asked for the head for this request.
	current bool
}

// firstKept returns the first sequence of the epoch that was not erased; 0 when nothing was.
func (p place) firstKept() uint64 { return p.erased.firstKept(p.epoch) }

// after returns up to limit events of a job with a sequence above after.
func (h *history) after(ctx context.Context, by asker, at place, after uint64, limit int) (page, error) {
	if cached, ok := h.cached(at, after, limit); ok {
		return cached, nil
	}
	key := fmt.Sprintf("after %d %d %s %s", after, limit, at.epoch, at.jobID)
	return share(ctx, h.flights, by, key, func(ctx context.Context) (page, error) {
		result, err := h.readAfter(ctx, at, after, limit, false)
		if err == nil && result.firstAvailable > 0 && h.projection != nil {
			// Read again before a client is told of a gap: the floor may be old, and
			// MongoDB may have been too slow.
			h.forgetFloor()
			result, err = h.readAfter(ctx, at, after, limit, true)
		}
		return result, err
	})
}

// cached returns a page from the cache, if that has it.
func (h *history) cached(at place, after uint64, limit int) (page, bool) {
	found := h.cache.after(at, after, limit)
	if len(found) == 0 {
		return page{}, false
	}
	result := page{events: make([]*Event, 0, len(found)), source: messaging.SourceMemory, through: found[len(found)-1].Sequence}
	for _, record := range found {
		ev := record.event
		if ev == nil {
			if ev = h.encodeOne(record.Record); ev == nil {
				continue
			}
			h.cache.attach(at, ev)
		}
		result.events = append(result.events, ev)
	}
	return result, true
}

// cachedRecords returns the records of a page from the cache, without their events.
func (h *history) cachedRecords(at place, after uint64, limit int) []messaging.Record {
	found := h.cache.after(at, after, limit)
	records := make([]messaging.Record, len(found))
	for i := range found {
		records[i] = found[i].Record
	}
	return records
}

// cacheLogged adds records that follow a sequence in the log to the cache.
func (h *history) cacheLogged(ctx context.Context, at place, after uint64, records []messaging.Record) {
	if !h.cache.enabled() || len(records) == 0 {
		return
	}
	// The log may have removed records in between, and may have begun a new epoch.
	if first, err := h.firstAvailable(ctx, at.epoch, records); err == nil {
		h.cache.put(at, max(after+1, first)-1, records, nil)
	}
}

// encodeOne encodes a record. It waits for the gate.
func (h *history) encodeOne(record messaging.Record) *Event {
	_ = h.work.enter(context.Background()) // callers hold the gate for one page at most
	defer h.work.leave()
	return h.encode(record)
}

func (h *history) readAfter(ctx context.Context, at place, after uint64, limit int, patient bool) (page, error) {
	records, known := h.projectedAfter(ctx, at, after, limit, patient)
	if len(records) > 0 {
		result := h.page(records, messaging.SourceMongoDB)
		h.cache.put(at, after, records, result.events)
		return result, nil
	}
	records, err := h.log.ReadAfter(ctx, at.jobID, after, limit)
	if err != nil {
		return page{}, err
	}
	first, err := h.firstAvailable(ctx, at.epoch, records)
	if err != nil {
		return page{}, err
	}
	result := h.page(records, messaging.SourceLog)
	h.cache.put(at, max(after+1, first)-1, records, result.events)
	if first > known+1 {
		result.firstAvailable = first
	} else {
		// MongoDB covers all that the log has removed, and has no more of the job.
		result.through = max(result.through+1, first) - 1
	}
	return result, nil
}

// firstAvailable returns a sequence from which on the log certainly had every record when
// the given ones were read. It fails with errRenewed when they may be of another epoch.
func (h *history) firstAvailable(ctx context.Context, epoch string, records []messaging.Record) (uint64, error) {
	// After the read, so that it covers what was removed during the read.
	extent, err := h.log.Extent(ctx)
	switch {
	case err != nil:
		return 0, err
	case extent.Epoch != epoch:
		return 0, errRenewed
	case len(records) > 0:
		return min(extent.First, records[0].Sequence), nil
	default:
		return extent.First, nil
	}
}

// beginning is where a subscription without a position begins.
type beginning struct {
	// legacy names the documents of older writers, which precede the records.
	legacy []string
	// after is the sequence after which the records follow, and head the job's newest
	// sequence, which may be above the room's head.
	after, head uint64
	// first is the first page of the records, so that a crowd shares that, too. It is
	// empty when documents of older writers precede it, or when it could not be read.
	first page
	// status is the job's last known status, if it has one and no history.
	status *messaging.JobStatus
}

// newest finds the newest limit events of the room's job, and, when fewer have a
// sequence, the documents of older writers before them.
func (h *history) newest(ctx context.Context, by asker, room *room, limit int) (beginning, error) {
	at := room.place()
	key := fmt.Sprintf("newest %d %s %s", limit, at.epoch, at.jobID)
	return share(ctx, h.flights, by, key, func(ctx context.Context) (beginning, error) {
		// The live tail may not have delivered the newest records yet. A client that
		// subscribes after they were stored is due them, and not a status in their place.
		last, err := h.lastSequence(ctx, at)
		if err != nil {
			return beginning{}, err
		}
		at.head = max(at.head, last)
		span, complete := h.cache.span(at, limit)
		if complete { // The cached span may be of an epoch that has ended.
			if _, err = h.firstAvailable(ctx, at.epoch, nil); err != nil {
				return beginning{}, err
			}
		} else if at.head > 0 || at.first > 1 { // Otherwise neither store has a record of the job.
			if span, complete, err = h.locate(ctx, at, limit); err != nil {
				return beginning{}, err
			}
		}
		// Without a span, no removed record is due: MongoDB has none, or could not be asked.
		found := beginning{head: max(at.head, span.Last), after: max(at.head+1, at.first) - 1}
		if span.Count > 0 {
			found.after = span.First - 1
		}
		if kept := at.firstKept(); kept > 0 {
			found.after = max(found.after, kept-1)
		}
		if span.Count < limit && len(at.erased) == 0 {
			names, known := room.legacyNames(limit - span.Count)
			if !known {
				if names, err = h.findLegacy(ctx, at.jobID, limit-span.Count); err != nil {
					return beginning{}, err
				}
			}
			found.legacy = names
		}
		if len(found.legacy) == 0 && span.Count == 0 && at.firstKept() == 0 { // After an erasure, the status is that of an erased event.
			if found.status = h.lastStatus(ctx, at.jobID); found.status != nil {
				// MongoDB may have answered slowly. Clients that subscribed meanwhile share
				// the answer, and are due an event that was stored before they subscribed.
				if last, err = h.lastSequence(ctx, at); err != nil {
					return beginning{}, err
				}
				if last > found.head {
					found.head, found.status = last, nil
				}
			}
		}
		if span.Count < limit {
			room.remember(at.epoch, &lookUp{found: found, limit: limit - span.Count, at: h.answeredAt()})
		}
		if len(found.legacy) > 0 {
			return found, nil
		}
		if found.after < found.head {
			first, cached := h.cached(at, found.after, min(limit, maxPageEvents))
			if !cached {
				if first, err = h.readAfter(ctx, at, found.after, min(limit, maxPageEvents), false); err != nil || first.firstAvailable > 0 {
					return found, nil
				}
				if complete {
					h.cache.putSpan(at, limit, span)
				}
			}
			found.first = first
		}
		return found, nil
	})
}

// recorded reports whether the log has a record of the job. The live tail may not have
// delivered it yet.
func (h *history) recorded(ctx context.Context, by asker, at place) (bool, error) {
	return share(ctx, h.flights, by, fmt.Sprintf("recorded %s %s", at.epoch, at.jobID), func(ctx context.Context) (bool, error) {
		last, err := h.lastSequence(ctx, at)
		return last > 0, err
	})
}

// lastSequence returns the job's newest sequence, 0 when it has none, from the log.
func (h *history) lastSequence(ctx context.Context, at place) (uint64, error) {
	if known := h.cache.newest(at); known > 0 {
		return h.log.LastSequenceFrom(ctx, at.jobID, known)
	}
	return h.log.LastSequence(ctx, at.jobID)
}

// locate finds the newest limit records of a job, in MongoDB or in the log and, where the
// log has removed records, in both. complete reports that there are no others.
func (h *history) locate(ctx context.Context, at place, limit int) (span messaging.Span, complete bool, err error) {
	if span, ok := h.projectedSpan(ctx, at, math.MaxUint64, limit); ok {
		return span, true, nil
	}
	if at.head == 0 {
		return messaging.Span{}, false, nil
	}
	if span, err = h.locateInLog(ctx, at, math.MaxUint64, limit); err != nil {
		return span, false, err
	}
	first, err := h.firstAvailable(ctx, at.epoch, nil)
	if err != nil || span.Count >= limit || h.projection == nil || first == 1 {
		return span, err == nil, err
	}
	if span.Count > 0 {
		// MongoDB, which does not have the newest records yet, has those that the log has
		// removed.
		if older, ok := h.projectedSpan(ctx, at, span.First, limit-span.Count); ok {
			span.First, span.Count, span.Older = older.First, span.Count+older.Count, older.Older
			return span, true, nil
		}
	}
	return span, false, nil
}

// locateInLog finds the newest limit records below before in the log.
func (h *history) locateInLog(ctx context.Context, at place, before uint64, limit int) (messaging.Span, error) {
	span, err := h.log.Locate(ctx, at.jobID, before, limit)
	if err == nil && before == math.MaxUint64 && span.Last < at.head {
		// Either the newest records have been removed, or the replica does not have them yet.
		var newest uint64
		if newest, err = h.log.LastSequence(ctx, at.jobID); err == nil && newest > span.Last {
			err = errBehind
		}
	}
	if err != nil {
		return messaging.Span{}, err
	}
	return span, nil
}

// legacyNames names the newest legacyEvents documents of older writers. Concurrent requests
// for one job share one read.
func (h *history) legacyNames(ctx context.Context, by asker, jobID string) ([]string, error) {
	return share(ctx, h.flights, by, "legacy names "+jobID, func(ctx context.Context) ([]string, error) {
		return h.findLegacy(ctx, jobID, legacyEvents)
	})
}

// legacyPage returns the events of the first of the named documents, and how many names these
// are. Concurrent requests for the same names share one read.
func (h *history) legacyPage(ctx context.Context, by asker, jobID string, names []string) (result page, taken int, err error) {
	type part struct {
		page  page
		taken int
	}
	sum := sha256.New()
	for _, name := range names {
		_, _ = fmt.Fprintf(sum, "%d %s", len(name), name) // never fails
	}
	shared, err := share(ctx, h.flights, by, fmt.Sprintf("legacy page %x %s", sum.Sum(nil), jobID), func(ctx context.Context) (part, error) {
		records, taken := h.readLegacy(ctx, jobID, names)
		return part{h.page(records, messaging.SourceMongoDB), taken}, nil
	})
	return shared.page, shared.taken, err
}

// page encodes records. It waits for the gate.
func (h *history) page(records []messaging.Record, source messaging.Source) page {
	result := page{events: make([]*Event, 0, len(records)), source: source, through: lastSequence(records)}
	_ = h.work.enter(context.Background()) // callers hold the gate for one page at most
	defer h.work.leave()
	now := time.Now()
	for _, record := range records {
		if ev := h.encode(record); ev != nil {
			ev.young = record.Sequence == 0 && isYoung(record, now)
			result.events = append(result.events, ev)
		}
	}
	return result
}

// lastSequence returns the sequence of the last record, 0 without one.
func lastSequence(records []messaging.Record) uint64 {
	if len(records) == 0 {
		return 0
	}
	return records[len(records)-1].Sequence
}
