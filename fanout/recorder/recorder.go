package recorder

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Config bounds a recorder.
type Config struct {
	// Bytes bounds the memory: half of it is for events, half for clients. 0 records
	// nothing; otherwise 1 MiB to 1 GiB.
	Bytes int
	// Events bounds the notes about events, at most 10,000,000; each event has a few.
	Events int
}

// Validate names the first field that is out of its range.
func (c Config) Validate() error {
	switch {
	case c.Bytes != 0 && (c.Bytes < 1<<20 || c.Bytes > 1<<30):
		return fmt.Errorf("recorder: Bytes is %d: want 0 (off), or 1 MiB to 1 GiB", c.Bytes)
	case c.Events < 1 || c.Events > maxEvents:
		return fmt.Errorf("recorder: Events is %d: want 1 to %d", c.Events, maxEvents)
	}
	return nil
}

// The bounds in time.
const (
	// KeptFor is how long the notes about events, and the trails of clients that have gone,
	// are kept at most. [Recorder.Run] drops them within an expiryInterval more.
	KeptFor        = time.Hour
	expiryInterval = time.Minute
)

// Recorder has the notes and the trails of one process. Its methods may be called
// concurrently, and do not block for longer than a piece of a scan takes, except
// [Recorder.Find] and [Recorder.Forget], which read every note.
type Recorder struct {
	cfg Config

	events ring
	// newest is the epoch of the newest note or step that has one. Those that follow share its
	// text.
	newest atomic.Pointer[string]

	mu sync.Mutex // guards the fields below, and bytes of every trail
	// bytes is what all trails take, those of clients that have gone included.
	bytes int
	// live has the trails of the clients that are connected.
	live map[*Trail]struct{}
	// ended has the trails of clients that have gone, oldest first: at most maxEnded.
	ended []*Trail
	// dropped is when the last client went whose trail was dropped; zero if none was.
	dropped time.Time
}

const (
	// maxEnded bounds the trails of clients that have gone.
	maxEnded = 10_000
	// maxEvents bounds the notes that may be asked for.
	maxEvents = 10_000_000
)

// New returns a recorder, or nil when Bytes is 0.
func New(cfg Config) (*Recorder, error) {
	if err := cfg.Validate(); err != nil || cfg.Bytes == 0 {
		return nil, err
	}
	return &Recorder{cfg: cfg, events: ring{most: cfg.Events, mostBytes: cfg.Bytes / 2}, live: make(map[*Trail]struct{})}, nil
}

// Run drops what was kept for long enough, until ctx ends; then it returns nil.
func (r *Recorder) Run(ctx context.Context) error {
	tick := time.NewTicker(expiryInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			r.expire(now.Add(-KeptFor))
		}
	}
}

// expire drops the notes, and the trails that ended, before a time.
func (r *Recorder) expire(before time.Time) {
	r.events.expire(before)
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.ended) > 0 && r.ended[0].ended.Before(before) {
		r.dropOldest()
	}
}

// maxEpochBytes bounds the text of an epoch; longer ones are left out.
const maxEpochBytes = 64

// epoch returns an epoch as it is kept. The text may be a part of a message, which would
// stay in memory with it.
func (r *Recorder) epoch(text string) string {
	if text == "" || len(text) > maxEpochBytes {
		return ""
	}
	if newest := r.newest.Load(); newest != nil && *newest == text {
		return *newest
	}
	kept := strings.Clone(text)
	r.newest.Store(&kept)
	return kept
}

// Forget forgets what is recorded of jobs that were erased: the notes about their events,
// and the steps of all clients that name them.
func (r *Recorder) Forget(jobIDs ...string) {
	if r == nil || len(jobIDs) == 0 {
		return
	}
	jobs := make(map[string]bool, len(jobIDs))
	for _, jobID := range jobIDs {
		jobs[jobID] = true
	}
	r.events.forget(jobs)
	r.mu.Lock()
	trails := slices.AppendSeq(slices.Clone(r.ended), maps.Keys(r.live))
	r.mu.Unlock()
	for _, trail := range trails {
		trail.forget(jobs)
	}
}

// Begin returns the trail of a client that has connected. Its id is shown to operators. It
// is nil where there is no memory for one more.
func (r *Recorder) Begin(id string) *Trail {
	if r == nil {
		return nil
	}
	trail := &Trail{recorder: r, id: id}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.take(trail, trailBytes+len(id)) {
		return nil
	}
	r.live[trail] = struct{}{}
	return trail
}

// reserve takes memory for a trail, or gives it back if bytes is negative. If there is
// none, the trails of clients that have gone make room, those that ended first.
func (r *Recorder) reserve(trail *Trail, bytes int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.take(trail, bytes)
}

// take is reserve with the mutex held. A trail that is no longer kept has no bytes, and gives
// none back.
func (r *Recorder) take(trail *Trail, bytes int) bool {
	if bytes < 0 && trail.bytes == 0 {
		return true
	}
	for bytes > 0 && r.bytes+bytes > r.cfg.Bytes/2 {
		if len(r.ended) == 0 {
			return false
		}
		r.dropOldest()
	}
	r.bytes += bytes
	trail.bytes += bytes
	return true
}

// keep keeps the trail of a client that has gone, with bytes more. If there is no memory for
// them, the trail is not kept.
func (r *Recorder) keep(trail *Trail, bytes int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.live, trail)
	if !r.take(trail, bytes) {
		r.bytes -= trail.bytes
		trail.bytes, r.dropped = 0, trail.ended
		return
	}
	if len(r.ended) == maxEnded {
		r.dropOldest()
	}
	r.ended = append(r.ended, trail)
}

// dropOldest drops the trail that ended first. The mutex is held.
func (r *Recorder) dropOldest() {
	r.bytes -= r.ended[0].bytes
	r.ended[0].bytes = 0
	r.dropped = r.ended[0].ended
	r.ended[0] = nil
	r.ended = r.ended[1:]
}

// Ended returns the trails of the clients with an id that have gone, oldest first.
func (r *Recorder) Ended(id string) (found []*Trail) {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, trail := range r.ended {
		if trail.id == id {
			found = append(found, trail)
		}
	}
	return found
}

// EndedBetween returns the trails of the clients that have gone from since on and before
// until, in any order: at most 10,000. incomplete says that some of that time are no longer
// kept.
func (r *Recorder) EndedBetween(since, until time.Time) (found []*Trail, incomplete bool) {
	if r == nil {
		return nil, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, trail := range r.ended {
		if at := trail.ended; !at.Before(since) && at.Before(until) {
			found = append(found, trail)
		}
	}
	return found, !r.dropped.IsZero() && !r.dropped.Before(since)
}
