package hub

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

// ErasureLease is how long a hub uses the erasures that it has read. After that, catch-ups
// wait until it has read newer ones. So this long after an erasure was noted, no hub shows
// what was erased, not even one that has missed the signal.
const ErasureLease = 5 * time.Second

// Erasure records that the events of a job up to a position, and those of earlier epochs of
// the log, were removed for good.
type Erasure struct {
	JobID   string
	Through messaging.Position
}

// erasedThrough is what was erased of one job: of each epoch, up to which sequence. There
// may be several epochs, because an erasure of an earlier one may be noted as done after a
// restore has noted its own. It is replaced, never changed.
type erasedThrough []messaging.Position

// firstKept returns the first sequence of an epoch that was not erased; 0 when nothing was.
func (e erasedThrough) firstKept(epoch string) uint64 {
	for _, through := range e {
		if through.Epoch == epoch {
			return through.Sequence + 1
		}
	}
	return 0
}

// covers reports whether an event at a position was erased. Once anything of the job was
// erased, so was every event without a sequence.
func (e erasedThrough) covers(epoch string, sequence uint64) bool {
	return len(e) > 0 && (sequence == 0 || sequence < e.firstKept(epoch))
}

// includes reports whether an erasure up to a position adds nothing, as when two erasures
// that ran at once were noted in the other order.
func (e erasedThrough) includes(through messaging.Position) bool {
	return through.Sequence < e.firstKept(through.Epoch)
}

// with returns what was erased after an erasure up to a position.
func (e erasedThrough) with(through messaging.Position) erasedThrough {
	if e.includes(through) {
		return e
	}
	more := slices.DeleteFunc(slices.Clone(e), func(known messaging.Position) bool { return known.Epoch == through.Epoch })
	return append(more, through)
}

// Erasures is the store of erasures.
type Erasures interface {
	// Erased returns the erasures with a number above after, in that order, and the newest
	// number. The answer is never older than the call.
	Erased(ctx context.Context, after uint64) (erased []Erasure, newest uint64, err error)
}

// erased holds the erasures that a hub has read. It alone decides what was erased: rooms
// and reads of the history look it up, and a subscription holds only what its client was
// told.
type erased struct {
	source Erasures // nil: nothing is ever erased
	signal chan struct{}
	// byJob has what was erased of each job; replaced, never changed.
	byJob atomic.Pointer[map[string]erasedThrough]

	turn chan struct{} // held by the caller that asks; guards newest
	// newest is the number of the newest erasure that was read.
	newest uint64

	mu sync.Mutex // guards readAt
	// readAt is when the last successful read of the source began.
	readAt time.Time
}

func newErased() *erased {
	e := &erased{signal: make(chan struct{}, 1), turn: make(chan struct{}, 1)}
	e.byJob.Store(&map[string]erasedThrough{})
	return e
}

// HonourErasures makes the hub show nothing that was erased. It must be called
// before [Hub.Run].
func (h *Hub) HonourErasures(source Erasures) { h.erased.source = source }

// ErasureNoted makes the hub ask what was erased. It does not block.
func (h *Hub) ErasureNoted() {
	select {
	case h.erased.signal <- struct{}{}:
	default: // one signal makes the hub ask for all that was erased
	}
}

// of returns what was erased of a job, nil when nothing was.
func (e *erased) of(jobID string) erasedThrough { return (*e.byJob.Load())[jobID] }

// covers reports whether a record was erased.
func (e *erased) covers(record messaging.Record) bool {
	return e.of(record.JobID).covers(record.Epoch, record.Sequence)
}

func (e *erased) fresh() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return time.Since(e.readAt) < ErasureLease
}

// ensureErasures returns once every erasure has been read that was noted more than an
// [ErasureLease] ago. Usually it returns at once.
func (h *Hub) ensureErasures(ctx context.Context) error {
	if h.erased.source == nil || h.erased.fresh() {
		return nil
	}
	return h.loadErasures(ctx, false)
}

// loadErasures reads the newer erasures, and makes the rooms forget what was erased. One
// caller reads at a time. The others wait and use its result, unless always is set: they
// then read again.
func (h *Hub) loadErasures(ctx context.Context, always bool) error {
	e := h.erased
	if e.source == nil {
		return nil
	}
	select {
	case e.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-e.turn }()
	if !always && e.fresh() {
		return nil
	}
	asked := time.Now()
	ctx, cancel := context.WithTimeout(ctx, h.cfg.ReadTimeout)
	defer cancel()
	noted, newest, err := e.source.Erased(ctx, e.newest)
	if err != nil {
		return err
	}
	if len(noted) > 0 {
		// Stored before rooms drop anything: one that opens from now on has nothing to drop.
		known := maps.Clone(*e.byJob.Load())
		noted = slices.DeleteFunc(noted, func(erasure Erasure) bool { return known[erasure.JobID].includes(erasure.Through) })
		for _, erasure := range noted {
			known[erasure.JobID] = known[erasure.JobID].with(erasure.Through)
		}
		e.byJob.Store(&known)
		jobIDs := make([]string, 0, len(noted))
		for _, erasure := range noted {
			h.forgetErased(erasure)
			jobIDs = append(jobIDs, erasure.JobID)
		}
		if h.recorder != nil { // after the rooms, which deliver nothing erased from here on
			h.recorder.Forget(jobIDs...)
		}
	}
	e.newest = newest
	e.mu.Lock()
	defer e.mu.Unlock()
	e.readAt = asked
	return nil
}

func (h *Hub) forgetErased(erasure Erasure) {
	h.recent.forget(erasure.JobID)
	h.history.cache.forget(erasure.JobID)
	h.mu.RLock()
	room := h.rooms[erasure.JobID]
	h.mu.RUnlock()
	if room != nil {
		room.erase(erasure.Through)
		h.logger.Info("a job was erased", "job", erasure.JobID, "sequence", erasure.Through.Sequence)
	}
}

// erase drops what was erased, and makes every subscription read, so that its client is
// told in its next turn.
func (r *room) erase(through messaging.Position) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lookUp != nil {
		r.lookUp = &lookUp{at: r.lookUp.at, limit: r.lookUp.limit} // what it found was erased
	}
	if r.epoch == through.Epoch {
		r.ring.forget(min(through.Sequence, r.head))
		r.fallBackAll(stateReading)
	}
}

// passErased moves the cursor past what was erased without a report to the client. It
// returns the cursor's sequence before that, and the first one that was not erased. The
// room's mutex is held.
func (s *Subscription) passErased() (before, kept uint64, erased bool) {
	kept = s.room.erased().firstKept(s.cursor.Epoch)
	if kept <= s.reportedKept {
		return 0, 0, false
	}
	s.reportedKept = kept
	before = s.cursor.Sequence
	s.moveTo(kept - 1)
	s.sink.Reach(s.room.jobID, s.cursor.Epoch, s.cursor.Sequence)
	return before, kept, true
}
