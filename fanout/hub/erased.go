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

// ErasureLease is for how long a hub that cannot ask goes by what it knew of
// erasures. After that nothing is caught up from memory until it has asked: so that
// much later than an erasure was noted, no hub shows what was erased, also one that
// never heard of it.
const ErasureLease = 5 * time.Second

// Erasure says that what a job had up to a position, and in earlier lives of the
// log, was removed for good.
type Erasure struct {
	JobID   string
	Through messaging.Position
}

// gone is what was erased of one job: of each epoch, up to where. Of several, because an
// erasure of an earlier one may be noted as done after a restore has noted its own. It
// is replaced, never changed.
type gone []messaging.Position

// kept returns the first sequence of an epoch that was not erased; 0 when nothing was.
func (g gone) kept(epoch string) uint64 {
	for _, through := range g {
		if through.Epoch == epoch {
			return through.Sequence + 1
		}
	}
	return 0
}

// covers reports whether an event at a position was erased. What has no sequence was,
// if anything ever was.
func (g gone) covers(epoch string, sequence uint64) bool {
	return len(g) > 0 && (sequence == 0 || sequence < g.kept(epoch))
}

// includes reports whether nothing more was erased up to a position. Two erasures that
// run at once are noted in any order.
func (g gone) includes(through messaging.Position) bool {
	return through.Sequence < g.kept(through.Epoch)
}

// with returns what is gone once it was erased up to a position, too.
func (g gone) with(through messaging.Position) gone {
	if g.includes(through) {
		return g
	}
	more := slices.DeleteFunc(slices.Clone(g), func(known messaging.Position) bool { return known.Epoch == through.Epoch })
	return append(more, through)
}

// Erasures is where erasures are noted.
type Erasures interface {
	// Erased returns what was noted after a number, in that order, and the newest
	// number. The answer is never older than the call.
	Erased(ctx context.Context, after uint64) (erased []Erasure, newest uint64, err error)
}

// erased is what a hub knows of erasures.
type erased struct {
	source Erasures // nil: nothing is ever erased
	signal chan struct{}
	// byJob has what is gone of each job; replaced, never changed.
	byJob atomic.Pointer[map[string]gone]

	turn chan struct{} // whose turn it is to ask; guards newest
	// newest is the number up to which all is known.
	newest uint64

	mu sync.Mutex // guards known
	// known is when the source was last asked with success.
	known time.Time
}

func newErased() *erased {
	e := &erased{signal: make(chan struct{}, 1), turn: make(chan struct{}, 1)}
	e.byJob.Store(&map[string]gone{})
	return e
}

// HonourErasures makes the hub show nothing that was erased. It must be called
// before [Hub.Run].
func (h *Hub) HonourErasures(source Erasures) { h.erased.source = source }

// ErasureNoted tells the hub that something may have been erased. It does not block.
func (h *Hub) ErasureNoted() {
	select {
	case h.erased.signal <- struct{}{}:
	default: // one signal makes the hub ask for all that was erased
	}
}

// of returns what is gone of a job, nil when nothing is.
func (e *erased) of(jobID string) gone { return (*e.byJob.Load())[jobID] }

// covers reports whether a record was erased.
func (e *erased) covers(record messaging.Record) bool {
	return e.of(record.JobID).covers(record.Epoch, record.Sequence)
}

func (e *erased) fresh() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return time.Since(e.known) < ErasureLease
}

// knowErasures returns once all erasures are known that were noted an [ErasureLease]
// ago; at once, as a rule.
func (h *Hub) knowErasures(ctx context.Context) error {
	if h.erased.source == nil || h.erased.fresh() {
		return nil
	}
	return h.learnErasures(ctx, false)
}

// learnErasures asks for what was erased, and makes the rooms forget it. One asks at
// a time; the others go by its answer, unless they are to ask anew.
func (h *Hub) learnErasures(ctx context.Context, anew bool) error {
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
	if !anew && e.fresh() {
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
		// First for rooms that are yet to be made, then for those that are there.
		known := maps.Clone(*e.byJob.Load())
		for _, erasure := range noted {
			known[erasure.JobID] = known[erasure.JobID].with(erasure.Through)
		}
		e.byJob.Store(&known)
		for _, erasure := range noted {
			h.forgetErased(erasure)
		}
	}
	e.newest = newest
	e.mu.Lock()
	defer e.mu.Unlock()
	e.known = asked
	return nil
}

func (h *Hub) forgetErased(erasure Erasure) {
	h.recent.forget(erasure.JobID)
	h.mu.RLock()
	room := h.rooms[erasure.JobID]
	h.mu.RUnlock()
	if room != nil && room.erase(erasure.Through) {
		h.logger.Info("a job was erased", "job", erasure.JobID, "sequence", erasure.Through.Sequence)
	}
}

// erase forgets what was erased, and makes every subscription notice. It reports
// false for what is known already.
func (r *room) erase(through messaging.Position) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.gone.includes(through) {
		return false
	}
	r.gone = r.gone.with(through)
	if r.lookUp != nil {
		r.lookUp = &lookUp{at: r.lookUp.at, limit: r.lookUp.limit} // what it had is gone
	}
	if r.epoch != through.Epoch {
		return true
	}
	r.ring.forget(min(through.Sequence, r.head))
	r.fallBackAll()
	return true
}

// noteErased moves the subscription past what was erased since its last turn. It
// reports where the cursor was, and the first sequence that is not gone.
func (s *Subscription) noteErased() (cursor, kept uint64, erased bool) {
	s.room.mu.Lock()
	defer s.room.mu.Unlock()
	kept = s.room.gone.kept(s.epoch)
	if !s.begun || kept <= s.kept {
		return 0, 0, false
	}
	s.kept = kept
	cursor = s.cursor
	s.cursor = max(s.cursor, kept-1)
	s.sink.Reach(s.room.jobID, s.epoch, s.cursor)
	return cursor, kept, true
}
