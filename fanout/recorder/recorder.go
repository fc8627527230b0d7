package recorder

import (
	"fmt"
	"sync"
	"time"
)

// Config bounds a recorder.
type Config struct {
	// Bytes bounds the memory: half of it is for events, half for clients. 0 records
	// nothing.
	Bytes int
	// Events bounds the notes about events; each event has a few.
	Events int
}

// Validate names the first field that is out of its range.
func (c Config) Validate() error {
	switch {
	case c.Bytes != 0 && c.Bytes < 1<<20:
		return fmt.Errorf("recorder: Bytes is %d: want 0 (off), or at least 1 MiB", c.Bytes)
	case c.Events < 1:
		return fmt.Errorf("recorder: Events is %d: want 1 or more", c.Events)
	}
	return nil
}

// Recorder has the notes and the trails of one process. Its methods may be called
// concurrently, and never block for longer than a search over the notes takes.
type Recorder struct {
	cfg Config

	events ring

	mu sync.Mutex // guards the fields below
	// bytes is what the steps of all trails take, those of clients that have gone included.
	bytes int
	// ended has the trails of clients that have gone, oldest first: at most maxEnded.
	ended []*Trail
	// dropped is when the last client went whose trail was dropped; zero if none was.
	dropped time.Time
}

// maxEnded bounds the trails of clients that have gone.
const maxEnded = 10_000

// New returns a recorder, or nil when Bytes is 0.
func New(cfg Config) (*Recorder, error) {
	if err := cfg.Validate(); err != nil || cfg.Bytes == 0 {
		return nil, err
	}
	return &Recorder{cfg: cfg, events: ring{most: cfg.Events, mostBytes: cfg.Bytes / 2}}, nil
}

// Begin returns the trail of a client that has connected. Its id is shown to operators.
func (r *Recorder) Begin(id string) *Trail {
	if r == nil {
		return nil
	}
	return &Trail{recorder: r, id: id, began: time.Now()}
}

// reserve takes memory for steps. If there is none, the trails of clients that have gone
// make room, those that ended first.
func (r *Recorder) reserve(bytes int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.bytes+bytes > r.cfg.Bytes/2 {
		if len(r.ended) == 0 {
			return false
		}
		r.dropOldest()
	}
	r.bytes += bytes
	return true
}

// release gives memory back.
func (r *Recorder) release(bytes int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bytes -= bytes
}

// keep keeps the trail of a client that has gone.
func (r *Recorder) keep(trail *Trail) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.ended) == maxEnded {
		r.dropOldest()
	}
	r.ended = append(r.ended, trail)
}

// dropOldest drops the trail that ended first. The mutex is held. A trail that has ended
// does not change, so that its own mutex is not needed.
func (r *Recorder) dropOldest() {
	r.bytes -= r.ended[0].bytes
	if at := r.ended[0].ended; at.After(r.dropped) {
		r.dropped = at
	}
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
// kept. A trail that has ended does not change, so that its own mutex is not needed.
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
