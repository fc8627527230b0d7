package hub

import (
	"context"
	"errors"
	"time"

	"github.com/letswriteabook/realtime/internal/contain"
	"github.com/letswriteabook/realtime/messaging"
)

// A new subscription is due the documents of older writers, which only MongoDB has, or the
// job's last known status. Both are looked up once for all subscriptions of a room. While
// neither store has a record of the job, nothing else is due, and live events do not wait
// for the look-up: the subscription turns live at once, and the result follows. It precedes
// the live events unless one is published before MongoDB has answered.
//
// If the log has removed records, some of them may be the job's, and MongoDB may still have
// these. They precede live events, which therefore wait for one query of MongoDB.

// lookUpAge is for how long the answer of a look-up serves further subscriptions.
const lookUpAge = 5 * time.Second

// lookUp is MongoDB's answer for a room: the names of at most limit documents, and one
// status.
type lookUp struct {
	found beginning
	limit int // how many documents of older writers were looked for
	at    time.Time
	// panicked is set when a panic ended the look-up without an answer.
	panicked bool
}

func (l *lookUp) fresh() bool { return l != nil && !l.panicked && time.Since(l.at) < lookUpAge }

// legacyNames returns the names of the newest limit documents of older writers, if a recent
// look-up has found them.
func (r *room) legacyNames(limit int) (names []string, known bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.lookUp.fresh() {
		return nil, false
	}
	names = r.lookUp.found.legacy
	if len(names) == r.lookUp.limit && limit > r.lookUp.limit {
		return nil, false
	}
	return names[max(0, len(names)-limit):], true
}

// vacant returns the answer of a recent look-up, if the job had no records then and the
// room has received none since. The log may have one that the room has still to receive.
func (r *room) vacant() (found beginning, known bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.head > 0 || !r.lookUp.fresh() || r.lookUp.found.head > 0 {
		return beginning{}, false
	}
	return r.lookUp.found, true
}

// unrecorded reports whether the room's job has no record: neither the log nor MongoDB had
// one when the room was opened, and none has arrived since. MongoDB is asked only if the
// log has removed records, and usually once for a room. When it does not answer,
// unrecorded reports false.
func (h *Hub) unrecorded(ctx context.Context, by asker, r *room) (bool, error) {
	at := r.place()
	if at.head > 0 || !h.history.mongoUp(false) {
		return false, nil
	}
	if at.first <= 1 || r.knownUnrecorded(at, false) {
		return true, nil
	}
	unrecorded, err := h.history.unrecorded(ctx, by, at)
	return err == nil && unrecorded && r.knownUnrecorded(at, true), err
}

// knownUnrecorded reports whether MongoDB has answered that it has no record of the job.
// With learned set, the caller has just received that answer. It counts only if the room's
// epoch and first sequence are still those of the place.
func (r *room) knownUnrecorded(at place, learned bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.epoch != at.epoch || r.first != at.first {
		return false
	}
	r.unrecorded = r.unrecorded || learned
	return r.unrecorded
}

// remember keeps the answer of a look-up, and makes the subscriptions that await it read. It
// reports false when the room has closed or restarted meanwhile.
func (r *room) remember(epoch string, answer *lookUp) bool {
	answer.found.first = page{} // unused from here on
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || epoch != r.epoch {
		return false
	}
	if r.erased().firstKept(epoch) > 0 { // it may be from before the erasure
		answer.found.legacy, answer.found.status = nil, nil
	}
	r.lookUp = answer
	for i := len(r.live) - 1; i >= 0; i-- {
		if r.live[i].awaitsLookUp {
			r.fallBack(r.live[i], stateReading) // moves a subscription that was visited before to place i
		}
	}
	return true
}

// awaitLookUp makes the subscription wait for the answer of the room's look-up. It returns
// the claim of a look-up that has to be started, or nil.
func (s *Subscription) awaitLookUp(lane *lane) (start *claim) {
	r := s.room
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.state == stateEnded {
		return nil
	}
	s.awaitsLookUp = true
	switch {
	case r.looking != nil:
		if s.lookUpClaim != r.looking {
			lane.support(r.looking, s.reader.client)
			s.lookUpClaim = r.looking
		}
		return nil
	case r.lookUp.fresh():
		return nil
	}
	r.lookUp, r.looking = nil, claimOf(s.reader.client)
	s.lookUpClaim = r.looking
	return r.looking
}

// leaveLookUp ends the wait of a subscription that ends. The room's mutex is held.
func (s *Subscription) leaveLookUp(lane *lane) {
	if s.lookUpClaim != nil && s.lookUpClaim == s.room.looking {
		lane.withdraw(s.lookUpClaim, s.reader.client)
	}
	s.lookUpClaim = nil
}

// startLookUp starts a look-up for the subscription unless one is under way. The
// subscription can become live before the answer.
func (h *Hub) startLookUp(sub *Subscription) {
	if claim := sub.awaitLookUp(h.history.flights.lanes[classFirst]); claim != nil {
		by, room, limit := asker{class: classFirst, claim: claim}, sub.room, sub.start.Limit
		// The look-up ends with the room, or with an answer. It outlasts the turn, so that it
		// must not read what the subscription's reader changes.
		h.crew.persist("look-up", func(ctx context.Context) { h.lookUpFor(ctx, room, by, limit) })
	}
}

// endLookUp notes that no look-up is under way.
func (r *room) endLookUp() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.looking = nil
}

// settle gives the subscription the answer of the look-up that it awaits, if there is one.
func (h *Hub) settle(sub *Subscription) {
	r := sub.room
	r.mu.Lock()
	if !sub.awaitsLookUp || r.lookUp == nil {
		r.mu.Unlock()
		return
	}
	sub.awaitsLookUp = false
	found, panicked, untouched := r.lookUp.found, r.lookUp.panicked, r.head == 0 && sub.cursor.Sequence == 0
	if found.head > r.head {
		sub.reading.historyTo = found.head // the room has not received this record yet
	}
	r.mu.Unlock()
	if panicked {
		sub.sink.Abort()
		return
	}
	sub.reading.legacy = found.legacy
	if untouched && found.status != nil {
		sub.send(messaging.EventJobStatus, found.status)
		sub.count(1, messaging.SourceAggregate)
	}
}

// lookUpFor looks up what is due to the new subscriptions of a room, until it has an
// answer or the room closes.
func (h *Hub) lookUpFor(ctx context.Context, room *room, by asker, limit int) {
	ctx, release := room.life.within(ctx)
	defer release()
	defer room.endLookUp()
	for tries := 0; ctx.Err() == nil; {
		epoch := room.place().epoch
		found, err := h.history.newest(ctx, by, room, limit)
		panicked := errors.Is(err, contain.ErrPanic)
		if !panicked && h.retry(ctx, err, &tries) {
			continue
		}
		if room.remember(epoch, &lookUp{found: found, limit: limit, panicked: panicked, at: h.history.answeredAt()}) {
			return
		}
	}
}

// answeredAt returns the time of a look-up's answer: the zero time when MongoDB failed, so
// that only the subscriptions that wait for the answer use it.
func (h *history) answeredAt() time.Time {
	if h.mongoAway() {
		return time.Time{}
	}
	return time.Now()
}
