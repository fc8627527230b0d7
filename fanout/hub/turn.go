package hub

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/letswriteabook/realtime/internal/contain"
	"github.com/letswriteabook/realtime/messaging"
)

// outcome says what follows a turn of a subscription's reader.
type outcome int

const (
	// outcomeDone: the subscription is live, or has ended. The reader no longer has it.
	outcomeDone outcome = iota
	// outcomeReading: another turn is due.
	outcomeReading
	// outcomeFull: another turn is due once the sink has room.
	outcomeFull
)

// turn gives a subscription one turn of its reader, which alone calls it. It begins an
// opening subscription, and takes a reading one a step on: the rest of its page, then a
// page of the documents that older writers left, the ring, or a page of history.
func (h *Hub) turn(ctx context.Context, sub *Subscription) outcome {
	ctx, release := sub.life.within(ctx)
	defer release()
	select {
	case <-ctx.Done():
		return outcomeDone
	case <-sub.sink.Done():
		return outcomeDone
	case <-sub.room.opened:
	}
	if err := h.ensureErasures(ctx); err != nil {
		return h.pause(ctx, sub, err)
	}
	now, before, kept, erased := sub.observe()
	if erased {
		h.gap(sub, before, kept, messaging.GapErased)
	}
	switch now {
	case stateOpening:
		if err := h.begin(ctx, sub); err != nil {
			return h.pause(ctx, sub, err)
		}
		sub.begun()
	case stateReading:
	default:
		return outcomeDone
	}
	h.settle(sub)
	if full := sub.flush(); full {
		return outcomeFull
	}
	reading := &sub.reading
	if len(reading.legacy) > 0 {
		page, taken, err := h.history.legacyPage(ctx, sub.asker(), sub.room.jobID, reading.legacy)
		if err != nil {
			return h.pause(ctx, sub, err)
		}
		reading.legacy = reading.legacy[taken:]
		sub.takePage(page)
		return outcomeReading
	}
	if sub.cursor.Sequence >= reading.historyTo {
		if outcome, done := h.join(sub); done {
			return outcome
		}
	}
	page, err := h.history.after(ctx, sub.asker(), sub.room.place(), sub.cursor.Sequence, cmp.Or(reading.limit, sub.firstPage()))
	if err != nil {
		return h.pause(ctx, sub, err)
	}
	reading.failures = 0
	if page.source == messaging.SourceLog {
		h.outage.Worked()
	}
	if page.firstAvailable > 0 {
		h.gap(sub, sub.cursor.Sequence, page.firstAvailable, messaging.GapRetention)
		sub.pass(page.firstAvailable - 1) // report this gap once
	}
	if page.through <= sub.cursor.Sequence {
		return h.skip(ctx, sub, page.firstAvailable > 0)
	}
	sub.takePage(page)
	return outcomeReading
}

// join hands over what the ring has after the cursor, and makes the subscription live. It
// reports false when the ring does not reach back to the cursor.
func (h *Hub) join(sub *Subscription) (outcome, bool) {
	room := sub.room
	room.mu.Lock()
	defer room.mu.Unlock()
	if sub.state == stateEnded {
		return outcomeDone, true
	}
	if sub.cursor.Epoch != room.epoch {
		return outcomeReading, true // its next turn renews it
	}
	events, covered := room.ring.after(sub.cursor.Sequence)
	if !covered {
		return outcomeReading, false
	}
	if sub.awaitsLookUp && room.lookUp != nil {
		return outcomeReading, true // its next turn calls settle
	}
	for _, ev := range events {
		if !sub.offer(ev) {
			return outcomeFull, true
		}
		sub.count(1, messaging.SourceMemory)
	}
	// The ring has no records that clients cannot be shown. The cursor passes them here.
	sub.moveTo(room.head)
	room.join(sub)
	if !sub.caught && !sub.awaitsLookUp {
		sub.caught = true
		h.caughtUp(sub)
	}
	return outcomeDone, true
}

// skip handles an empty page where the room's ring does not reach back to the cursor.
// Either the records in between have been removed, or a replica of the log is behind for a
// moment. skip reports a gap to the client, unless gapReported is set.
func (h *Hub) skip(ctx context.Context, sub *Subscription, gapReported bool) outcome {
	last, err := h.log.LastSequence(ctx, sub.room.jobID)
	if err != nil {
		return h.pause(ctx, sub, err)
	}
	if last > sub.cursor.Sequence {
		return h.pause(ctx, sub, errBehind)
	}
	floor := sub.room.floor()
	if floor > sub.cursor.Sequence && !gapReported {
		h.gap(sub, sub.cursor.Sequence, floor+1, messaging.GapRetention)
	}
	sub.pass(floor)
	sub.reading.historyTo = 0
	return outcomeReading
}

// pause waits before the subscription's next turn, because a read failed. Turns are
// repeated for as long as the client stays.
func (h *Hub) pause(ctx context.Context, sub *Subscription, err error) outcome {
	if errors.Is(err, contain.ErrPanic) {
		sub.sink.Abort()
		return outcomeDone
	}
	h.noteFailure(ctx, err)
	timer := time.NewTimer(h.backoff(sub.reading.failures))
	defer timer.Stop()
	sub.reading.failures++
	select {
	case <-timer.C:
		return outcomeReading
	case <-ctx.Done():
	case <-sub.sink.Done():
	}
	return outcomeDone
}
