package ingest

import (
	"sync"
	"time"
)

// failures counts requests of one kind that are repeated until they succeed, by any number
// of goroutines. An outage lasts from the first failure until no request is being repeated.
// It is logged once when it begins and once when it has ended.
type failures struct {
	mu sync.Mutex // guards the fields below
	// repeated counts the requests whose last attempt failed.
	repeated int
	// since is when the outage began; meaningless while repeated is 0.
	since time.Time
	// dropped counts what was given up during the outage.
	dropped uint64
}

// add counts a request whose first attempt has failed, and reports whether this begins an
// outage.
func (f *failures) add(now time.Time) (began bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.repeated++
	if f.repeated > 1 {
		return false
	}
	f.since, f.dropped = now, 0
	return true
}

// remove counts a request that add has counted and that has now succeeded. It reports
// whether the outage has ended with it, how long it lasted and how much was given up.
func (f *failures) remove(now time.Time) (ended bool, lasted time.Duration, dropped uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.repeated--
	return f.repeated == 0, now.Sub(f.since), f.dropped
}

// drop counts something that was given up, and reports whether it is the first in this
// outage.
func (f *failures) drop() (first bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dropped++
	return f.dropped == 1
}

// ongoing reports whether there is an outage.
func (f *failures) ongoing() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.repeated > 0
}
