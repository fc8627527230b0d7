package fanout

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/letswriteabook/realtime/messaging"
)

// history reads what is behind a room's head from the nearest source that has
// it: the ring, MongoDB, the log. Which one it was changes nothing about the
// result, because MongoDB is asked only for what it is known to have.
//
// Subscriptions that ask for the same page at once share one read, and at most
// cap(reads) reads are under way. Methods may be called concurrently.
type history struct {
	log        Log
	projection Projection // nil without MongoDB
	encode     func(messaging.Record) *event
	logger     *slog.Logger

	flights singleflight.Group
	reads   chan struct{}
	timeout time.Duration

	mu sync.Mutex // guards the three below
	// downUntil is when MongoDB is asked again after it failed.
	downUntil time.Time
	down      bool
	floor     floor
}

// floor is the projection's floor as it was at one moment. It only rises, so an
// old value is safe: it sends a few more reads to the log.
type floor struct {
	sequence uint64
	at       time.Time
}

// page is one read of the history, oldest event first. It may be shared.
type page struct {
	events []*event
	source messaging.Source
	// firstAvailable is set when records in front of the page have been removed
	// from the log: the first sequence that is still there.
	firstAvailable uint64
}

const (
	floorAge      = 250 * time.Millisecond
	mongoDownTime = 2 * time.Second
	readsAtOnce   = 32
)

// place is where a job is in the log: its newest sequence, in which epoch.
type place struct {
	jobID string
	epoch string
	head  uint64
}

// after returns up to limit events of a job with a sequence above after.
func (h *history) after(ctx context.Context, at place, after uint64, limit int) (page, error) {
	key := fmt.Sprintf("after %d %d %s", after, limit, at.jobID)
	return h.share(ctx, key, func(ctx context.Context) (page, error) {
		if records, ok := h.projected(ctx, at, after, limit); ok {
			return page{events: h.encodeAll(records), source: messaging.SourceMongoDB}, nil
		}
		records, err := h.log.ReadAfter(ctx, at.jobID, after, limit)
		if err != nil {
			return page{}, err
		}
		// Asked after the read: what is there now was there then.
		extent, err := h.log.Extent(ctx)
		if err != nil {
			return page{}, err
		}
		result := page{events: h.encodeAll(records), source: messaging.SourceLog}
		if extent.First > after+1 {
			result.firstAvailable = extent.First
		}
		return result, nil
	})
}

// projected reads a page from MongoDB. It reports false when the log has to
// answer: MongoDB is not configured, down, or not known to have the page whole.
func (h *history) projected(ctx context.Context, at place, after uint64, limit int) ([]messaging.Record, bool) {
	floor, ok := h.projectedUpTo(ctx)
	if !ok || floor <= after {
		return nil, false
	}
	records, err := h.projection.ReadAfter(ctx, at.jobID, messaging.Position{Epoch: at.epoch, Sequence: after}, limit)
	if !h.mongoAnswered(err) {
		return nil, false
	}
	short := len(records) < limit
	for len(records) > 0 && records[len(records)-1].Sequence > floor {
		records = records[:len(records)-1]
	}
	if len(records) == 0 {
		return nil, false
	}
	// A short page has to end with the job's newest record, if that is
	// projected. If it does not, documents are missing there.
	if last := records[len(records)-1].Sequence; short && at.head <= floor && last < at.head {
		h.logger.Warn("MongoDB misses documents that it should have; reading the log", "job", at.jobID, "sequence", at.head)
		return nil, false
	}
	return records, true
}

// newest returns the newest limit events of the room's job: those of the log,
// and, when they are fewer, what older writers left in front of them.
func (h *history) newest(ctx context.Context, room *room, limit int) (page, error) {
	if events, ok := room.newest(limit); ok && len(events) == limit {
		return page{events: events, source: messaging.SourceMemory}, nil
	}
	at := room.place()
	key := fmt.Sprintf("newest %d %s", limit, at.jobID)
	return h.share(ctx, key, func(ctx context.Context) (page, error) {
		records, source, err := h.before(ctx, at, 0, limit)
		return page{events: h.encodeAll(records), source: source}, err
	})
}

// before returns the newest limit records with a sequence below before, where 0
// stands for the end, oldest first. Documents without a sequence count as older
// than every record that has one.
func (h *history) before(ctx context.Context, at place, before uint64, limit int) ([]messaging.Record, messaging.Source, error) {
	records, source, err := h.sequenced(ctx, at, before, limit)
	if err != nil || len(records) == limit {
		return records, source, err
	}
	older := h.legacy(ctx, at.jobID, limit-len(records))
	if len(older) == 0 {
		return records, source, nil
	}
	return append(older, records...), messaging.SourceMongoDB, nil
}

func (h *history) sequenced(ctx context.Context, at place, before uint64, limit int) ([]messaging.Record, messaging.Source, error) {
	newest := at.head
	if before > 0 {
		newest = min(at.head, before-1)
	}
	if newest == 0 {
		return nil, messaging.SourceNone, nil
	}
	if floor, ok := h.projectedUpTo(ctx); ok && newest <= floor {
		position := messaging.Position{Epoch: at.epoch, Sequence: newest + 1}
		records, err := h.projection.ReadBefore(ctx, at.jobID, position, limit)
		complete := len(records) > 0 && (newest < at.head || records[len(records)-1].Sequence == at.head)
		if h.mongoAnswered(err) && complete {
			return records, messaging.SourceMongoDB, nil
		}
	}
	records, err := h.log.ReadBefore(ctx, at.jobID, before, limit)
	return records, messaging.SourceLog, err
}

// legacy returns the newest limit documents that older writers left without a
// sequence, oldest first; none when MongoDB is not there to ask.
func (h *history) legacy(ctx context.Context, jobID string, limit int) []messaging.Record {
	if !h.mongoUp() {
		return nil
	}
	records, err := h.projection.ReadLegacy(ctx, jobID, limit)
	if !h.mongoAnswered(err) {
		return nil
	}
	return records
}

// head returns the job's last known status, if MongoDB is there to ask.
func (h *history) head(ctx context.Context, jobID string) (JobHead, bool) {
	if !h.mongoUp() {
		return JobHead{}, false
	}
	head, found, err := h.projection.Head(ctx, jobID)
	return head, h.mongoAnswered(err) && found
}

func (h *history) encodeAll(records []messaging.Record) []*event {
	events := make([]*event, 0, len(records))
	for _, record := range records {
		if ev := h.encode(record); ev != nil {
			events = append(events, ev)
		}
	}
	return events
}

// share runs read once for all that ask under one key at the same time. The read
// is not bound to the context of whoever asked first, but to a time limit.
func (h *history) share(ctx context.Context, key string, read func(context.Context) (page, error)) (page, error) {
	result := h.flights.DoChan(key, func() (any, error) {
		h.reads <- struct{}{}
		defer func() { <-h.reads }()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), h.timeout)
		defer cancel()
		return read(ctx)
	})
	select {
	case <-ctx.Done():
		return page{}, ctx.Err()
	case answer := <-result:
		if answer.Err != nil {
			return page{}, answer.Err
		}
		return answer.Val.(page), nil
	}
}
