package ingest

import (
	"context"
	"slices"
	"sync"
	"time"
)

// budget bounds the events that were received and are not stored yet, by count and by
// bytes.
//
// Calls of take that do not fit wait in one queue, first come, first served, so that
// neither Redis nor HTTP can starve the other. They are admitted once both counts are at
// most three quarters of their bounds, so that back-pressure is one long episode instead of
// one for each event at the bound. At most the goroutine that reads Redis and one goroutine
// for each request wait in the queue.
type budget struct {
	maxEvents int
	maxBytes  int
	// take calls onFull, without the lock, when an episode begins. It does not call onFull
	// again until there has been room: requests that stop waiting end an episode, and the
	// next request begins another in the same outage.
	onFull func(events, bytes int)

	mu sync.Mutex // guards the fields below
	// events and bytes are what take and force have booked and give has not returned.
	events int
	bytes  int
	// waiting is the queue. fullSince is when it last became non-empty; zero while it is
	// empty.
	waiting   []*taker
	fullSince time.Time
	// waited is the total length of the past episodes. episodes counts them and the current
	// one.
	waited   time.Duration
	episodes int
	// reported is true if onFull was called and there has been no room since.
	reported bool
}

// taker is a call of take that waits for room.
type taker struct {
	size int
	// admitted is closed, under the budget's lock, once size is booked.
	admitted chan struct{}
}

func newBudget(maxEvents, maxBytes int, onFull func(events, bytes int)) *budget {
	return &budget{maxEvents: maxEvents, maxBytes: maxBytes, onFull: onFull}
}

// take books one event of size bytes, and waits until it fits. An event larger than the
// whole budget fits when nothing else is booked. If ctx ends before there is room, take
// books nothing and returns false.
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
		return true // admitted when ctx ended
	}
	b.waiting = slices.Delete(b.waiting, place, place+1)
	b.admit() // the next taker may need less room
	return false
}

// force books one event of size bytes even if it does not fit. It is for events that were
// read already and would be lost otherwise.
func (b *budget) force(size int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.book(size)
}

// give returns the room that one event of size bytes has taken.
func (b *budget) give(size int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events--
	b.bytes -= size
	b.admit()
}

// admit admits waiting takers if there is room again, and ends the episode when none is
// left. The caller holds b.mu.
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

// fits reports whether one more event of size bytes is within the bounds. The caller holds
// b.mu.
func (b *budget) fits(size int) bool {
	return b.events == 0 || (b.events < b.maxEvents && b.bytes+size <= b.maxBytes)
}

// book counts one more event. The caller holds b.mu.
func (b *budget) book(size int) {
	b.events++
	b.bytes += size
}

// pending returns the events and bytes that are booked.
func (b *budget) pending() (events, bytes int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.events, b.bytes
}

// full reports whether any taker waits for room.
func (b *budget) full() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.waiting) > 0
}

// pressure returns the number of episodes and their total length up to now.
func (b *budget) pressure() (episodes int, waited time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	waited = b.waited
	if !b.fullSince.IsZero() {
		waited += time.Since(b.fullSince)
	}
	return b.episodes, waited
}
