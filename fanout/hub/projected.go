package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

// floor is the projection's floor at one moment. Within an epoch it only rises, so an old
// value is safe: a few more reads go to the log. The comparison with the job's head
// detects one of an earlier epoch.
type floor struct {
	sequence uint64
	at       time.Time
}

const (
	floorAge = 250 * time.Millisecond
	// probeInterval is how often MongoDB is probed while it is down.
	probeInterval = 2 * time.Second
)

// legacyEvents bounds how many documents without a sequence are read for one
// request.
const legacyEvents = 10_000

// projectedAfter reads records after a sequence from MongoDB. They are complete up to the
// sequence known, which equals after when MongoDB cannot be used: it is not configured, is
// down, or lacks documents. patient is set for records that the log no longer has: then a
// slow MongoDB is used, too, without the shorter time limit.
func (h *history) projectedAfter(ctx context.Context, at place, after uint64, limit int, patient bool) (records []messaging.Record, known uint64) {
	if !h.mongoUp(patient) {
		return nil, after
	}
	floor, ok := h.projectedUpTo(ctx)
	if !ok || floor <= after {
		return nil, after
	}
	asking := ctx
	if !patient {
		var cancel context.CancelFunc
		asking, cancel = context.WithTimeout(ctx, h.patience)
		defer cancel()
	}
	records, err := h.projection.ReadAfter(asking, at.jobID, messaging.Position{Epoch: at.epoch, Sequence: after}, limit)
	if !h.mongoAnswered(ctx, asking, err) {
		return nil, after
	}
	full := len(records) == limit || bodyBytes(records) >= sourcePageBytes
	for len(records) > 0 && lastSequence(records) > floor {
		records = records[:len(records)-1]
	}
	// A page that is not full has to reach the job's newest record, if that is
	// projected.
	if reached := max(after, lastSequence(records)); !full && reached < at.head && at.head <= floor {
		h.logger.Warn("MongoDB misses documents that it should have; reading the log", "job", at.jobID, "sequence", at.head)
		return nil, after
	}
	return records, floor
}

// bodyBytes returns the size of the bodies of records.
func bodyBytes(records []messaging.Record) (size int) {
	for _, record := range records {
		size += len(record.Body)
	}
	return size
}

// projectedEnd returns the position before which MongoDB is asked for the newest
// records below before, so that math.MaxUint64 means the end. It reports false when
// the log has to answer.
func (h *history) projectedEnd(ctx context.Context, at place, before uint64) (messaging.Position, bool) {
	if !h.mongoUp(false) {
		return messaging.Position{}, false
	}
	floor, ok := h.projectedUpTo(ctx)
	if !ok {
		return messaging.Position{}, false
	}
	if before <= at.head && before > floor+1 {
		// The known floor may be old, and the log may have removed these records since.
		h.forgetFloor()
		if floor, ok = h.projectedUpTo(ctx); !ok {
			return messaging.Position{}, false
		}
	}
	// MongoDB may have newer records than the head: the log may have removed them before
	// the room read them.
	end := min(max(at.head, floor)+1, before)
	return messaging.Position{Epoch: at.epoch, Sequence: end}, end <= floor+1
}

// askBack asks MongoDB for records before end. ask returns the newest sequence that it
// found. answered is false after an error, and for an answer that lacks the job's head
// although that lies before end.
func (h *history) askBack(ctx context.Context, at place, end messaging.Position, ask func(context.Context) (newest uint64, err error)) (answered bool) {
	asking := ctx
	if at.head > 0 { // otherwise the log has no records of the job
		var cancel context.CancelFunc
		asking, cancel = context.WithTimeout(ctx, h.patience)
		defer cancel()
	}
	newest, err := ask(asking)
	if !h.mongoAnswered(ctx, asking, err) {
		return false
	}
	return newest > 0 && (newest >= at.head || end.Sequence <= at.head)
}

// projectedBefore reads the newest records below before from MongoDB: a page of
// them, which ends early at sourcePageBytes. It reports false when the log has to
// answer.
func (h *history) projectedBefore(ctx context.Context, at place, before uint64, limit int) (records []messaging.Record, ok bool) {
	end, ok := h.projectedEnd(ctx, at, before)
	if !ok {
		return nil, false
	}
	ok = h.askBack(ctx, at, end, func(ctx context.Context) (newest uint64, err error) {
		records, err = h.projection.ReadBefore(ctx, at.jobID, end, limit)
		return lastSequence(records), err
	})
	return records, ok
}

// projectedSpan finds the newest limit records below before in MongoDB. It reports false
// when the log has to answer, or when MongoDB has none.
func (h *history) projectedSpan(ctx context.Context, at place, before uint64, limit int) (span messaging.Span, ok bool) {
	end, ok := h.projectedEnd(ctx, at, before)
	if !ok {
		return messaging.Span{}, false
	}
	ok = h.askBack(ctx, at, end, func(ctx context.Context) (newest uint64, err error) {
		span, err = h.projection.Locate(ctx, at.jobID, end, limit)
		return span.Last, err
	})
	return span, ok
}

// unrecorded reports whether MongoDB has answered that it has no record of a job of which
// the log has none. Concurrent requests share one read.
func (h *history) unrecorded(ctx context.Context, by asker, at place) (bool, error) {
	return share(ctx, h.flights, by, fmt.Sprintf("unrecorded %d %s %s", at.first, at.epoch, at.jobID), func(ctx context.Context) (bool, error) {
		end, ok := h.projectedEnd(ctx, at, math.MaxUint64)
		if !ok {
			return false, nil
		}
		span, err := h.projection.Locate(ctx, at.jobID, end, 1)
		return h.mongoAnswered(ctx, ctx, err) && span.Count == 0, nil
	})
}

// findLegacy names the newest limit documents of older writers, oldest first; none when
// MongoDB is not configured or down. They count as older than every record. Only MongoDB
// has them, so that the time limit is longer than for a page. It fails with [ErrLog].
func (h *history) findLegacy(ctx context.Context, jobID string, limit int) ([]string, error) {
	if !h.mongoUp(false) {
		return nil, nil
	}
	names, err := h.projection.FindLegacy(ctx, jobID, limit)
	if errors.Is(err, ErrLog) {
		return nil, err
	}
	if !h.mongoAnswered(ctx, ctx, err) {
		return nil, nil
	}
	return names, nil
}

// readLegacy returns the events of the first of the named documents, and how many names these
// are: all of them when MongoDB is not configured or down.
func (h *history) readLegacy(ctx context.Context, jobID string, names []string) (records []messaging.Record, taken int) {
	if !h.mongoUp(false) {
		return nil, len(names)
	}
	records, taken, err := h.projection.ReadLegacy(ctx, jobID, names)
	if !h.mongoAnswered(ctx, ctx, err) {
		return nil, len(names)
	}
	return records, taken
}

// lastStatus returns the job's last known status; nil when MongoDB has none, is not
// configured, or is down.
func (h *history) lastStatus(ctx context.Context, jobID string) *messaging.JobStatus {
	if !h.mongoUp(false) {
		return nil
	}
	head, found, err := h.projection.Head(ctx, jobID)
	if !h.mongoAnswered(ctx, ctx, err) || !found {
		return nil
	}
	status := messaging.JobStatus{JobID: jobID, EmittedAt: head.EmittedAt, Status: head.Status, Snapshot: head.Snapshot}
	if status.Snapshot == nil {
		status.Snapshot = json.RawMessage("null")
	}
	return &status
}

// projectedUpTo returns the sequence up to which MongoDB is known to have every
// record. It reports false when that is not known.
func (h *history) projectedUpTo(ctx context.Context) (uint64, bool) {
	h.mu.Lock()
	known := h.floor
	h.mu.Unlock()
	if !known.at.IsZero() && time.Since(known.at) < floorAge {
		return known.sequence, true
	}
	sequence, err := h.projection.Floor(ctx)
	if err != nil {
		return 0, false // from the log, which the page is read from then
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.floor = floor{sequence: sequence, at: time.Now()}
	return sequence, true
}

// forgetFloor makes the next read ask for the floor.
func (h *history) forgetFloor() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.floor = floor{}
}

// mongoUp reports whether MongoDB is configured and not down. With patient set, one that is
// only slow counts as up.
func (h *history) mongoUp(patient bool) bool {
	if h.projection == nil {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.down || patient && h.slow
}

// mongoAway reports whether MongoDB is configured and down or slow.
func (h *history) mongoAway() bool { return h.projection != nil && !h.mongoUp(false) }

// mongoAnswered notes the outcome of a read, and reports whether it succeeded. After a
// failure or a timeout, no catch-up asks MongoDB until a probe succeeds, so that a slow
// MongoDB delays only the first reads. An outage is logged once. The cancellation of ctx
// is not a failure of MongoDB. asking is the context of the read, which may have had a
// shorter time limit than ctx.
func (h *history) mongoAnswered(ctx, asking context.Context, err error) bool {
	if err == nil {
		return true
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return false
	}
	h.mongoOutage.Failed(err)
	late := asking.Err() != nil && ctx.Err() == nil
	h.mu.Lock()
	probing := h.down
	h.slow = late && (h.slow || !h.down)
	h.down = true
	h.mu.Unlock()
	if !probing {
		h.flights.crew.persist("probe", h.probe) // refused only by a hub that has ended
	}
	return false
}

// probe asks MongoDB until it answers, or until the hub ends.
func (h *history) probe(ctx context.Context) {
	ticker := time.NewTicker(probeInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		attempt, cancel := context.WithTimeout(ctx, h.patience)
		// Any job will do: what counts is an answer.
		_, _, err := h.projection.Head(attempt, "probe")
		cancel()
		if err != nil {
			continue
		}
		h.mongoOutage.Worked()
		h.mu.Lock()
		h.down, h.slow = false, false
		h.mu.Unlock()
		return
	}
}
