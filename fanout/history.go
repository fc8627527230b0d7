package fanout

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

var (
	// errBehind says that a read of the log did not find records that are there:
	// it was answered by a replica that lags. A retry helps.
	errBehind = errors.New("a replica of the log is behind")
	// errRenewed says that the log has begun a new life that the room has not
	// heard of yet. A retry helps once it has been checked.
	errRenewed = errors.New("the log has begun a new epoch")
)

// history reads what is behind a room's head from the nearest source that has
// it: the ring, MongoDB, the log. Which one it was changes nothing about the
// result, because MongoDB is asked only for what it is known to have.
//
// Methods may be called concurrently.
type history struct {
	log        Log
	projection Projection // nil without MongoDB
	encode     func(messaging.Record) *event
	flights    *flights
	patience   time.Duration // with the projection, for what the log has as well
	logger     *slog.Logger

	mongoOutage *outage

	mu sync.Mutex // guards the three below
	// down is set from a failure of MongoDB until a probe of it succeeds, and slow
	// with it as long as all that failed is that pages did not come in time.
	down, slow bool
	floor      floor
}

// page is one read of the history, oldest event first. It may be shared.
type page struct {
	events []*event
	source messaging.Source
	// through is the sequence up to which the page leaves nothing out. It may lie
	// past the last event: a record that no client can be shown is no event.
	through uint64
	// firstAvailable is set when records in front of the page have been removed
	// from the log, or may have been: the first sequence that is still there.
	firstAvailable uint64
}

// place is where a job is in the log: its newest sequence, in which epoch.
type place struct {
	jobID string
	epoch string
	head  uint64
	// first is the log's first sequence when the room was opened, 0 without a
	// room. Below it the job may have had records that the room never heard of.
	first uint64
	// kept is the first sequence of the epoch that was not erased; 0 when nothing was,
	// and without a room.
	kept uint64
}

// after returns up to limit events of a job with a sequence above after.
func (h *history) after(ctx context.Context, at place, after uint64, limit int) (page, error) {
	key := fmt.Sprintf("after %d %d %s %s", after, limit, at.epoch, at.jobID)
	return h.flights.share(ctx, key, func(ctx context.Context) (page, error) {
		result, err := h.readAfter(ctx, at, after, limit, false)
		if err == nil && result.firstAvailable > 0 && h.projection != nil {
			// No client is told of a gap on the word of an old floor, or because MongoDB
			// takes its time.
			h.forgetFloor()
			result, err = h.readAfter(ctx, at, after, limit, true)
		}
		return result, err
	})
}

func (h *history) readAfter(ctx context.Context, at place, after uint64, limit int, patient bool) (page, error) {
	records, known := h.projectedAfter(ctx, at, after, limit, patient)
	if len(records) > 0 {
		return h.page(records, messaging.SourceMongoDB), nil
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
	if first > known+1 {
		result.firstAvailable = first
	}
	return result, nil
}

// firstAvailable returns the first sequence of which it is certain that the log
// still had it, and all that follow it, when records were read. It fails with
// errRenewed when they may be of another epoch.
func (h *history) firstAvailable(ctx context.Context, epoch string, records []messaging.Record) (uint64, error) {
	// Asked after the read: asked before, it would miss what was removed in
	// between.
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

// newest returns the newest limit events of the room's job, and, when those that
// have a sequence are fewer, what older writers left in front of them.
func (h *history) newest(ctx context.Context, room *room, limit int) (page, error) {
	if events, ok := room.newest(limit); ok && len(events) == limit {
		return page{events: events, source: messaging.SourceMemory, through: events[limit-1].sequence}, nil
	}
	at := room.place()
	key := fmt.Sprintf("newest %d %s %s", limit, at.epoch, at.jobID)
	return h.flights.share(ctx, key, func(ctx context.Context) (page, error) {
		// The room may not have heard of the newest records yet. Who subscribes
		// after they were stored is due them, and no status in their place.
		last, err := h.log.LastSequence(ctx, at.jobID)
		if err != nil {
			return page{}, err
		}
		at.head = max(at.head, last)
		records, source, err := h.before(ctx, at, 0, limit)
		if err == nil && source == messaging.SourceLog {
			_, err = h.firstAvailable(ctx, at.epoch, records)
		}
		if err != nil {
			return page{}, err
		}
		if len(records) < limit {
			if older := h.legacy(ctx, at.jobID, limit-len(records)); len(older) > 0 {
				records, source = append(older, records...), messaging.SourceMongoDB
			}
		}
		result := h.page(records, source)
		if result.through == 0 {
			result.through = at.head
		}
		// Otherwise what is between the page and the head was removed while it was
		// read. Who has the page is told of that, so its cursor stays before it.
		return result, nil
	})
}

// before returns the newest limit records with a sequence below before, where 0
// stands for the end, oldest first. What the log has removed since comes from
// MongoDB, if that is up.
func (h *history) before(ctx context.Context, at place, before uint64, limit int) ([]messaging.Record, messaging.Source, error) {
	if records, ok := h.projectedBefore(ctx, at, before, limit); ok {
		return records, messaging.SourceMongoDB, nil
	}
	if at.head == 0 {
		return nil, messaging.SourceNone, nil
	}
	records, err := h.log.ReadBefore(ctx, at.jobID, before, limit)
	if err != nil {
		return nil, messaging.SourceNone, err
	}
	if found := lastSequence(records); before == 0 && found < at.head {
		// Either the newest records have been removed, or they are not seen yet.
		newest, err := h.log.LastSequence(ctx, at.jobID)
		if err != nil {
			return nil, messaging.SourceNone, err
		}
		if newest > found {
			return nil, messaging.SourceNone, errBehind
		}
	}
	return records, messaging.SourceLog, nil
}

// oldest returns the documents that older writers left without a sequence: the
// newest legacyEvents of them.
func (h *history) oldest(ctx context.Context, jobID string) (page, error) {
	return h.flights.share(ctx, "oldest "+jobID, func(ctx context.Context) (page, error) {
		return h.page(h.legacy(ctx, jobID, legacyEvents), messaging.SourceMongoDB), nil
	})
}

// page encodes records.
func (h *history) page(records []messaging.Record, source messaging.Source) page {
	result := page{events: make([]*event, 0, len(records)), source: source, through: lastSequence(records)}
	for _, record := range records {
		if ev := h.encode(record); ev != nil {
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
