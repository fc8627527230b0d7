package ingest

import (
	"context"
	"slices"
	"sync"
	"time"
)

// budget bounds what was taken in and is not stored yet, in events and bytes.
//
// Takers that do not fit wait in one queue, first come, first served, so that
// neither Redis nor HTTP can keep the other out. They are let in when both
// counts are at most three quarters of their bounds: an episode of
// back-pressure is then one, and not as many as events trickle through at the
// bound. The queue has at most one place for the goroutine that reads Redis and
// one for each request under way.
type budget struct {
	maxEvents int
	maxBytes  int
	// onFull is called by take, without the lock, when an episode begins, and not again
	// until there has been room: requests that give up waiting end an episode, and the
	// next one begins another in the same outage.
	onFull func(events, bytes int)

	mu sync.Mutex // guards the fields below
	// events and bytes are taken and not given back.
	events int
	bytes  int
	// waiting is the queue, and fullSince the time since when it has not been empty;
	// zero while it is empty.
	waiting   []*taker
	fullSince time.Time
	// waited is the length of all past episodes, and episodes their number, the
	// current one included.
	waited   time.Duration
	episodes int
	// reported says that onFull was called and that there has been no room since.
	reported bool
}

// taker is one call of take that waits.
type taker struct {
	size int
	// admitted is closed, under the budget's lock, once the size is booked.
	admitted chan struct{}
}

func newBudget(maxEvents, maxBytes int, onFull func(events, bytes int)) *budget {
	return &budget{maxEvents: maxEvents, maxBytes: maxBytes, onFull: onFull}
}

// take books one event of size bytes, and waits while it does not fit. An event
// larger than the whole budget fits when it is alone. When ctx ends before there
// is room, take books nothing and reports false.
func (b *budget) take(ctx context.Context, size int) bool {
	b.mu.Lock()
	if len(b.waiting) == 0 && b.fits(size) {
		b.book(size)
		b.mu.Unlock()
		return true
	}
	own := &taker{size: size, admitted: make(chan struct{})}
	b.waiting = append(b.waiting, own)
	began := b.fullSince.IsZero()
	if began {
		b.fullSince = time.Now()
		b.episodes++
	}
	report := began && !b.reported
	b.reported = b.reported || report
	events, bytes := b.events, b.bytes
	b.mu.Unlock()
	if report {
		b.onFull(events, bytes)
	}

	select {
	case <-own.admitted:
		return true
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	place := slices.Index(b.waiting, own)
	if place < 0 {
		return true // let in at the same moment
	}
	b.waiting = slices.Delete(b.waiting, place, place+1)
	b.admit() // the next taker may need less room
	return false
}

// force books one event of size bytes over the bound: one that was read already,
// so that dropping it would be a loss.
func (b *budget) force(size int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.book(size)
}

// give returns the room of one event of size bytes.
func (b *budget) give(size int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events--
	b.bytes -= size
	b.admit()
}

// admit lets in those who wait, if there is room again, and ends the episode
// when none is left; b.mu is held.
func (b *budget) admit() {
	if b.events == 0 || (b.events <= b.maxEvents*3/4 && b.bytes <= b.maxBytes*3/4) {
		b.reported = false
		for len(b.waiting) > 0 && b.fits(b.waiting[0].size) {
			b.book(b.waiting[0].size)
			close(b.waiting[0].admitted)
			b.waiting = slices.Delete(b.waiting, 0, 1)
		}
	}
	if len(b.waiting) == 0 && !b.fullSince.IsZero() {
		b.waited += time.Since(b.fullSince)
		b.fullSince = time.Time{}
	}
}

// fits reports whether one more event of size bytes is within the bounds; b.mu
// is held.
func (b *budget) fits(size int) bool {
	return b.events == 0 || (b.events < b.maxEvents && b.bytes+size <= b.maxBytes)
}

// book counts one more event; b.mu is held.
func (b *budget) book(size int) {
	b.events++
	b.bytes += size
}

// pending returns what is taken and not given back.
func (b *budget) pending() (events, bytes int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.events, b.bytes
}

// full reports whether somebody waits for room.
func (b *budget) full() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.waiting) > 0
}

// pressure returns the number of episodes and their length together, up to now.
func (b *budget) pressure() (episodes int, waited time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	waited = b.waited
	if !b.fullSince.IsZero() {
		waited += time.Since(b.fullSince)
	}
	return b.episodes, waited
}
