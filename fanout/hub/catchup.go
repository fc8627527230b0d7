package hub

import (
	"context"

	"github.com/letswriteabook/realtime/messaging"
)

// begin places a new subscription's cursor, once its room is open. From there on
// the subscription reads like any other that is behind.
func (h *Hub) begin(ctx context.Context, sub *Subscription) error {
	at := sub.room.place()
	sub.epoch = at.epoch
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
		sub.kept = at.kept
	}
	return err
}

// resume starts right after the position that the client named. It reports
// false, after telling the client of the gap, when this life of the log never
// gave that position out.
func (h *Hub) resume(ctx context.Context, sub *Subscription, at place) (known bool, err error) {
	if known, err = h.gaveOut(ctx, sub, at); !known || err != nil {
		return false, err
	}
	position := sub.start.Position
	if position.Sequence < at.kept && sub.kept < at.kept {
		h.gap(sub, position.Sequence, at.kept, messaging.GapErased)
		position.Sequence = at.kept - 1
		sub.start.Position.Sequence, sub.kept = position.Sequence, at.kept // told once
	}
	if position.Sequence == 0 && !sub.start.Recovered {
		// From the very beginning: what older writers left comes first.
		if sub.older, err = h.history.oldest(ctx, sub.asker(), sub.room.jobID); err != nil {
			return false, err
		}
	}
	sub.pass(position.Sequence)
	sub.catchUp.from = position.Sequence
	if at.first > position.Sequence+1 {
		sub.readTo = at.first - 1
	}
	return true, nil
}

// gaveOut reports whether the position to resume from was given out in this life
// of the log. As a rule the room knows, so that a crowd that comes back asks the
// log nothing. A position ahead of the room's head may have been seen at another
// gateway: only the log knows.
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
	sub.start.Resume = false // what follows may be tried again; the gap is told once
	return false, nil
}

// fresh starts with the newest events of the job, or, when nothing is stored,
// with its last known status. Live events of a job without records do not wait for
// either.
func (h *Hub) fresh(ctx context.Context, sub *Subscription) error {
	if events, ok := sub.room.newest(sub.start.Limit); ok && len(events) == sub.start.Limit {
		sub.read(page{events: events, source: messaging.SourceMemory, through: events[len(events)-1].Sequence})
		sub.pass(events[0].Sequence - 1)
		sub.catchUp.from = events[0].Sequence - 1
		return nil
	}
	found, known := sub.room.vacant()
	if !known {
		unrecorded, err := h.unrecorded(ctx, sub.asker(), sub.room)
		if err != nil {
			return err
		}
		if unrecorded {
			h.oweTo(sub)
			return nil
		}
		if found, err = h.history.newest(ctx, sub.asker(), sub.room, sub.start.Limit); err != nil {
			return err
		}
	}
	sub.older = found.older
	sub.read(found.first)
	sub.pass(found.after)
	sub.catchUp.from = found.after
	if found.head > sub.room.place().head {
		sub.readTo = found.head // the room knows nothing of it
	}
	if found.status != nil {
		sub.tell(messaging.EventJobStatus, found.status)
		sub.count(1, messaging.SourceAggregate)
	}
	return nil
}

// caughtUp tells the client that what follows is live, and records the catch-up
// for the metrics page. The room's mutex is held: no live event can come first.
func (h *Hub) caughtUp(sub *Subscription) {
	h.recordCatchUp(sub) // first, so that who was told finds it on the page
	account := sub.catchUp
	sub.sink.Reach(sub.room.jobID, sub.epoch, sub.cursor)
	sub.sink.Send(messaging.EventCaughtUp, messaging.CaughtUp{
		JobID: sub.room.jobID, From: account.from, To: sub.cursor, Replayed: account.replayed, Source: account.source,
		Position: positionText(sub.epoch, sub.cursor),
	})
}

// standing tells a client that is live where it stands.
func standing(jobID, epoch string, sequence uint64) messaging.CaughtUp {
	return messaging.CaughtUp{
		JobID: jobID, From: sequence, To: sequence, Source: messaging.SourceNone, Position: positionText(epoch, sequence),
	}
}

// positionText is a position as a client is told it, empty without an epoch: a bare
// sequence would be taken for one of any life of the log.
func positionText(epoch string, sequence uint64) string {
	if epoch == "" {
		return ""
	}
	return messaging.Position{Epoch: epoch, Sequence: sequence}.String()
}

// gap tells the client which part of the history is gone.
func (h *Hub) gap(sub *Subscription, requested, firstAvailable uint64, reason messaging.GapReason) {
	sub.tell(messaging.EventGap, messaging.Gap{
		JobID: sub.room.jobID, Requested: requested, FirstAvailable: firstAvailable, Reason: reason, Epoch: sub.epoch,
	})
	h.metrics.gaps.WithLabelValues(string(reason)).Inc()
}
