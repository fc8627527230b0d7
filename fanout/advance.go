package fanout

import (
	"context"
	"time"

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

// pageEvents is how many events one read of the history asks for.
const pageEvents = 250

// advance gives a subscription one turn: what is left of its page, then the
// ring, then one more page of history. It is called by the sink's reader only.
func (h *Hub) advance(ctx context.Context, sub *subscription) outcome {
	select {
	case <-ctx.Done():
		return outcomeLevel
	case <-sub.sink.done():
		return outcomeLevel
	case <-sub.room.opened:
	}
	if requested, restarted := sub.restarted(); restarted {
		h.gap(sub, requested, 1, messaging.GapEpoch)
	}
	if !sub.begun {
		if err := h.begin(ctx, sub); err != nil {
			return h.pause(ctx, sub, err)
		}
		sub.begun = true
	}
	if full := sub.flush(); full {
		return outcomeFull
	}
	if outcome, done := h.level(sub); done {
		return outcome
	}
	page, err := h.history.after(ctx, sub.room.place(), sub.cursor, pageEvents)
	if err != nil {
		return h.pause(ctx, sub, err)
	}
	if page.firstAvailable > 0 {
		h.gap(sub, sub.cursor, page.firstAvailable, messaging.GapRetention)
	}
	if len(page.events) == 0 {
		return h.skip(ctx, sub, page.firstAvailable > 0)
	}
	sub.page = page.events
	sub.count(len(page.events), page.source)
	return outcomeReading
}

// flush hands the rest of the page to the sink. It reports whether the sink is
// full.
func (s *subscription) flush() (full bool) {
	for len(s.page) > 0 {
		if !s.hand(s.page[0]) {
			return true
		}
		s.page = s.page[1:]
	}
	s.page = nil
	return false
}

// hand gives one event of a page to the sink, unless the subscription has ended:
// after an unsubscribe was answered, nothing of the job may follow.
func (s *subscription) hand(ev *event) bool {
	s.room.mu.Lock()
	defer s.room.mu.Unlock()
	if s.ended || ev.sequence > 0 && ev.sequence <= s.cursor {
		return true
	}
	if !s.sink.offer(ev) {
		return false
	}
	s.cursor = max(s.cursor, ev.sequence)
	return true
}

// level tries to reach the room's head from the ring and to turn live there. It
// reports false when the ring does not reach back far enough.
func (h *Hub) level(sub *subscription) (outcome, bool) {
	room := sub.room
	room.mu.Lock()
	defer room.mu.Unlock()
	if sub.ended {
		return outcomeLevel, true
	}
	events, covered := room.ring.after(sub.cursor)
	if !covered {
		return outcomeReading, false
	}
	for _, ev := range events {
		if !sub.sink.offer(ev) {
			return outcomeFull, true
		}
		sub.cursor = ev.sequence
		sub.count(1, messaging.SourceMemory)
	}
	// A record that cannot be shown to a client is in no ring, and passed here.
	sub.cursor = max(sub.cursor, room.head)
	room.enliven(sub)
	if !sub.caught {
		sub.caught = true
		h.caughtUp(sub)
	}
	return outcomeLevel, true
}

// count adds to the account of the first catch-up; later ones are a slow
// client's or a repair's, and no client is told of them.
func (s *subscription) count(n int, source messaging.Source) {
	if !s.caught {
		s.catchUp.count(n, source)
	}
}

// skip deals with an empty page in front of the room's ring. Either the records
// are gone, which the client is told unless it was already, or a replica of the
// log is behind for a moment.
func (h *Hub) skip(ctx context.Context, sub *subscription, told bool) outcome {
	last, err := h.log.LastSequence(ctx, sub.room.jobID)
	if err != nil || last > sub.cursor {
		return h.pause(ctx, sub, err)
	}
	sub.room.mu.Lock()
	floor := sub.room.ring.floor
	sub.room.mu.Unlock()
	if !told {
		h.gap(sub, sub.cursor, floor+1, messaging.GapRetention)
	}
	sub.cursor = floor
	return outcomeReading
}

// pause waits a moment before the subscription's next turn: the log did not
// answer, or not yet. It goes on for as long as the client stays.
func (h *Hub) pause(ctx context.Context, sub *subscription, err error) outcome {
	if err != nil && ctx.Err() == nil {
		h.logger.Warn("catch-up waits for the log", "job", sub.room.jobID, "err", err)
	}
	timer := time.NewTimer(h.cfg.RetryInterval)
	defer timer.Stop()
	select {
	case <-timer.C:
		return outcomeReading
	case <-ctx.Done():
	case <-sub.sink.done():
	}
	return outcomeLevel
}
