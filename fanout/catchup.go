package fanout

import (
	"context"
	"encoding/json"

	"github.com/letswriteabook/realtime/messaging"
)

// begin places a new subscription's cursor, once its room is open. From there on
// the subscription reads like any other that is behind.
func (h *Hub) begin(ctx context.Context, sub *subscription) error {
	sub.catchUp.source = messaging.SourceNone
	if sub.start.resume {
		known, err := h.resume(ctx, sub)
		if known || err != nil {
			return err
		}
	}
	return h.fresh(ctx, sub)
}

// resume starts right after the position that the client named. It reports
// false, after telling the client of the gap, when this life of the log never
// gave that position out.
func (h *Hub) resume(ctx context.Context, sub *subscription) (known bool, err error) {
	extent, err := h.log.Extent(ctx)
	if err != nil {
		return false, err
	}
	position := sub.start.position
	if position.Epoch != "" && position.Epoch != extent.Epoch || position.Sequence > extent.Last {
		h.gap(sub, position.Sequence, extent.First, messaging.GapEpoch)
		return false, nil
	}
	sub.cursor, sub.catchUp.from = position.Sequence, position.Sequence
	if position.Sequence > 0 {
		return true, nil
	}
	// From the very beginning: what older writers left comes first.
	sub.page = h.history.encodeAll(h.history.legacy(ctx, sub.room.jobID, legacyEvents))
	sub.count(len(sub.page), messaging.SourceMongoDB)
	return true, nil
}

// legacyEvents bounds how many documents without a sequence are replayed to a
// subscription that starts at 0.
const legacyEvents = 10_000

// fresh starts with the newest events of the job, or, when nothing is stored,
// with its last known status.
func (h *Hub) fresh(ctx context.Context, sub *subscription) error {
	page, err := h.history.newest(ctx, sub.room, sub.start.limit)
	if err != nil {
		return err
	}
	sub.page = page.events
	sub.count(len(page.events), page.source)
	for _, ev := range page.events {
		if ev.sequence > 0 {
			sub.cursor = ev.sequence - 1
			break
		}
	}
	sub.catchUp.from = sub.cursor
	if len(page.events) > 0 {
		return nil
	}
	head, found := h.history.head(ctx, sub.room.jobID)
	if !found {
		return nil
	}
	snapshot := head.Snapshot
	if snapshot == nil {
		snapshot = json.RawMessage("null")
	}
	sub.sink.send(messaging.EventJobStatus, messaging.JobStatus{
		JobID: sub.room.jobID, EmittedAt: head.EmittedAt, Status: head.Status, Snapshot: snapshot,
	})
	sub.count(1, messaging.SourceAggregate)
	return nil
}

// caughtUp tells the client that what follows is live, and records the catch-up
// for the metrics page. The room's mutex is held: no live event can come first.
func (h *Hub) caughtUp(sub *subscription) {
	account := sub.catchUp
	sub.sink.send(messaging.EventCaughtUp, messaging.CaughtUp{
		JobID: sub.room.jobID, From: account.from, To: sub.cursor, Replayed: account.replayed, Source: account.source,
	})
	h.recordCatchUp(sub)
}

// gap tells the client which part of the history is gone.
func (h *Hub) gap(sub *subscription, requested, firstAvailable uint64, reason messaging.GapReason) {
	sub.sink.send(messaging.EventGap, messaging.Gap{
		JobID: sub.room.jobID, Requested: requested, FirstAvailable: firstAvailable, Reason: reason,
	})
	h.metrics.gaps.WithLabelValues(string(reason)).Inc()
}
