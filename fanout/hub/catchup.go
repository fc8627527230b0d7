package hub

import (
	"context"
	"errors"

	"github.com/letswriteabook/realtime/messaging"
)

// begin places the cursor of an opening subscription, once its room is open. After an error
// it is called again.
func (h *Hub) begin(ctx context.Context, sub *Subscription) error {
	at := sub.room.place()
	sub.setEpoch(at.epoch)
	sub.catchUp = catchUp{source: messaging.SourceNone}
	var known bool
	var err error
	if sub.start.Resume {
		known, err = h.resume(ctx, sub, at)
	}
	if err == nil && !known {
		err = h.fresh(ctx, sub)
	}
	if err == nil {
		sub.reportedKept = at.firstKept()
	}
	return err
}

// resume places the cursor at the position that the client named. It reports false, after
// the client was told of the gap, when the log never gave out that position in its present
// epoch.
func (h *Hub) resume(ctx context.Context, sub *Subscription, at place) (known bool, err error) {
	if known, err = h.gaveOut(ctx, sub, at); !known || err != nil {
		return false, err
	}
	position := sub.start.Position
	if kept := at.firstKept(); position.Sequence < kept && sub.reportedKept < kept {
		h.gap(sub, position.Sequence, kept, messaging.GapErased)
		position.Sequence = kept - 1
		sub.start.Position.Sequence, sub.reportedKept = position.Sequence, kept // report this gap once
	}
	if position.Sequence == 0 && !sub.start.Recovered {
		// The client reads from the beginning, and the documents of older writers precede all records.
		if sub.reading.legacy, err = h.history.legacyNames(ctx, sub.asker(), sub.room.jobID); err != nil {
			return false, err
		}
	}
	sub.pass(position.Sequence)
	sub.catchUp.from = position.Sequence
	if at.first > position.Sequence+1 {
		sub.reading.historyTo = at.first - 1
	}
	return true, nil
}

// gaveOut reports whether the log gave out the position to resume from, in its present
// epoch. For a position up to the room's head, the head is proof enough, so that clients
// that reconnect all at once cause no requests to the log. A position above the head may
// come from another gateway: gaveOut then asks the log.
func (h *Hub) gaveOut(ctx context.Context, sub *Subscription, at place) (bool, error) {
	position := sub.start.Position
	sameEpoch := position.Epoch == "" || position.Epoch == at.epoch
	if sameEpoch && position.Sequence <= at.head {
		return true, nil
	}
	extent, err := h.log.Extent(ctx)
	if err != nil {
		return false, err
	}
	if extent.Epoch != at.epoch {
		return false, errRenewed
	}
	if sameEpoch && position.Sequence <= extent.Last {
		return true, nil
	}
	h.gap(sub, position.Sequence, extent.First, messaging.GapEpoch)
	sub.start.Resume = false // report this gap once, even if begin fails and is called again
	return false, nil
}

// fresh places the cursor before the newest events of the job, or, when nothing is stored,
// tells the client the last known status. Live events of a job without records wait for
// neither.
func (h *Hub) fresh(ctx context.Context, sub *Subscription) error {
	if events, ok := sub.room.newest(sub.start.Limit); ok && len(events) == sub.start.Limit {
		sub.takePage(page{events: events, source: messaging.SourceMemory, through: events[len(events)-1].Sequence})
		sub.pass(events[0].Sequence - 1)
		sub.catchUp.from = events[0].Sequence - 1
		return nil
	}
	found, err := h.beginning(ctx, sub)
	if errors.Is(err, errUnrecorded) {
		h.startLookUp(sub)
		return nil
	}
	if err != nil {
		return err
	}
	sub.reading.legacy = found.legacy
	sub.takePage(found.first)
	sub.pass(found.after)
	sub.catchUp.from = found.after
	if found.head > sub.room.place().head {
		sub.reading.historyTo = found.head // the room has not received this record yet
	}
	if found.status != nil {
		sub.send(messaging.EventJobStatus, found.status)
		sub.count(1, messaging.SourceAggregate)
	}
	return nil
}

// beginning returns where a subscription without a position begins. It fails with
// errUnrecorded when the job has no record and MongoDB has still to be asked for older
// documents and for the last status.
func (h *Hub) beginning(ctx context.Context, sub *Subscription) (beginning, error) {
	found, known := sub.room.vacant()
	if known {
		recorded, err := h.history.recorded(ctx, sub.asker(), sub.room.place())
		if err != nil || !recorded {
			return found, err
		}
	} else if unrecorded, err := h.unrecorded(ctx, sub.asker(), sub.room); err != nil {
		return beginning{}, err
	} else if unrecorded {
		return beginning{}, errUnrecorded
	}
	return h.history.newest(ctx, sub.asker(), sub.room, sub.start.Limit)
}

// caughtUp tells the client that what follows is live, and records the catch-up for the
// metrics page. The room's mutex is held, so that no live event precedes the message.
func (h *Hub) caughtUp(sub *Subscription) {
	h.recordCatchUp(sub) // before the message, so that its receiver finds the catch-up on the metrics page
	account := sub.catchUp
	sub.sink.Reach(sub.room.jobID, sub.cursor.Epoch, sub.cursor.Sequence)
	sub.sink.Send(messaging.EventCaughtUp, messaging.CaughtUp{
		JobID: sub.room.jobID, From: account.from, To: sub.cursor.Sequence, Replayed: account.replayed, Source: account.source,
		Position: positionText(sub.cursor),
	})
}

// positionMessage returns the message that tells a live client its position.
func positionMessage(jobID string, at messaging.Position) messaging.CaughtUp {
	return messaging.CaughtUp{
		JobID: jobID, From: at.Sequence, To: at.Sequence, Source: messaging.SourceNone, Position: positionText(at),
	}
}

// positionText returns a position in the form that clients use. It is empty without an
// epoch: a bare sequence would be valid in any epoch.
func positionText(at messaging.Position) string {
	if at.Epoch == "" {
		return ""
	}
	return at.String()
}

// gap tells the client which part of the history it will not receive, and counts the gap.
func (h *Hub) gap(sub *Subscription, requested, firstAvailable uint64, reason messaging.GapReason) {
	sub.send(messaging.EventGap, messaging.Gap{
		JobID: sub.room.jobID, Requested: requested, FirstAvailable: firstAvailable, Reason: reason, Epoch: sub.cursor.Epoch,
	})
	h.metrics.gaps.WithLabelValues(string(reason)).Inc()
}
