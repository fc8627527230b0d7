package hub

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/letswriteabook/realtime/internal/contain"
	"github.com/letswriteabook/realtime/messaging"
)

// outcome says how far one turn of a subscription's reader got.
type outcome int

const (
	// outcomeLevel: the subscription is live, or has ended.
	outcomeLevel outcome = iota
	// outcomeReading: it is still behind; another turn is due.
	outcomeReading
	// outcomeFull: its sink has no room.
	outcomeFull
)

// advance gives a subscription one turn: what is left of its page, then a page of what
// older writers left, the ring, or one more page of history. It is called by the sink's
// reader only.
func (h *Hub) advance(ctx context.Context, sub *Subscription) outcome {
	ctx, release := sub.life.within(ctx)
	defer release()
	select {
	case <-ctx.Done():
		return outcomeLevel
	case <-sub.sink.Done():
		return outcomeLevel
	case <-sub.room.opened:
	}
	sub.renew()
	if err := h.knowErasures(ctx); err != nil {
		return h.pause(ctx, sub, err)
	}
	if cursor, kept, erased := sub.noteErased(); erased {
		h.gap(sub, cursor, kept, messaging.GapErased)
	}
	if !sub.begun {
		if err := h.begin(ctx, sub); err != nil {
			return h.pause(ctx, sub, err)
		}
		sub.begun = true
	}
	h.settle(sub)
	if full := sub.flush(); full {
		return outcomeFull
	}
	if len(sub.older) > 0 {
		page, taken, err := h.history.older(ctx, sub.asker(), sub.room.jobID, sub.older)
		if err != nil {
			return h.pause(ctx, sub, err)
		}
		sub.older = sub.older[taken:]
		sub.read(page)
		return outcomeReading
	}
	if sub.cursor >= sub.readTo {
		if outcome, done := h.level(sub); done {
			return outcome
		}
	}
	page, err := h.history.after(ctx, sub.asker(), sub.room.place(), sub.cursor, cmp.Or(sub.limit, sub.firstPage()))
	if err != nil {
		return h.pause(ctx, sub, err)
	}
	sub.failures = 0
	if page.source == messaging.SourceLog {
		h.outage.note(nil)
	}
	if page.firstAvailable > 0 {
		h.gap(sub, sub.cursor, page.firstAvailable, messaging.GapRetention)
		sub.pass(page.firstAvailable - 1) // told once, and for good
	}
	if page.through <= sub.cursor {
		return h.skip(ctx, sub, page.firstAvailable > 0)
	}
	sub.read(page)
	return outcomeReading
}

// level tries to reach the room's head from the ring and to turn live there. It
// reports false when the ring does not reach back far enough.
func (h *Hub) level(sub *Subscription) (outcome, bool) {
	room := sub.room
	room.mu.Lock()
	defer room.mu.Unlock()
	if sub.ended {
		return outcomeLevel, true
	}
	if sub.epoch != room.epoch {
		return outcomeReading, true // it begins again in its next turn
	}
	events, covered := room.ring.after(sub.cursor)
	if !covered {
		return outcomeReading, false
	}
	if sub.owed && room.lookUp != nil {
		return outcomeReading, true // settled in its next turn
	}
	for _, ev := range events {
		if !sub.offer(ev) {
			return outcomeFull, true
		}
		sub.count(1, messaging.SourceMemory)
	}
	// A record that cannot be shown to a client is in no ring, and passed here.
	sub.cursor = max(sub.cursor, room.head)
	room.enliven(sub)
	if !sub.caught && !sub.owed {
		sub.caught = true
		h.caughtUp(sub)
	}
	return outcomeLevel, true
}

// skip deals with a page that has nothing although the room's ring does not
// reach back to the cursor. Either the records in between are gone, which the
// client is told unless it was already, or a replica of the log is behind for a
// moment.
func (h *Hub) skip(ctx context.Context, sub *Subscription, told bool) outcome {
	last, err := h.log.LastSequence(ctx, sub.room.jobID)
	if err != nil {
		return h.pause(ctx, sub, err)
	}
	if last > sub.cursor {
		return h.pause(ctx, sub, errBehind)
	}
	floor := sub.room.floor()
	if floor > sub.cursor && !told {
		h.gap(sub, sub.cursor, floor+1, messaging.GapRetention)
	}
	sub.pass(floor)
	sub.readTo = 0
	return outcomeReading
}

// pause waits before the subscription's next turn: the log did not answer, or
// not yet. It goes on for as long as the client stays.
func (h *Hub) pause(ctx context.Context, sub *Subscription, err error) outcome {
	if errors.Is(err, contain.ErrPanic) {
		sub.sink.Abort()
		return outcomeLevel
	}
	h.noteFailure(ctx, err)
	timer := time.NewTimer(h.backoff(sub.failures))
	defer timer.Stop()
	sub.failures++
	select {
	case <-timer.C:
		return outcomeReading
	case <-ctx.Done():
	case <-sub.sink.Done():
	}
	return outcomeLevel
}
