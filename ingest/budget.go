package ingest

import (
	"context"
	"sync"
	"time"
)

// budget bounds what was read and is not stored yet, in events and bytes.
//
// It has one taker, the goroutine that reads Redis, and any number of givers.
// A taker that met a bound waits until both counts are at most three quarters
// of their bounds: an episode of back-pressure is then one, and not as many as
// events trickle through at the bound.
type budget struct {
	maxEvents int
	maxBytes  int
	// onFull is called by take, without the lock, when an episode begins.
	onFull func(events, bytes int)
	// room wakes the taker. Its one place suffices: give fills it at most once an
	// episode, and take empties it when an episode begins.
	room chan struct{}

	mu sync.Mutex // guards the fields below
	// events and bytes are taken and not given back.
	events int
	bytes  int
	// wanted is the size that the waiting taker needs, fullSince the beginning
	// of its wait; zero when nobody waits.
	wanted    int
	fullSince time.Time
	// waited is the length of all past episodes, and episodes their number, the
	// current one included.
	waited   time.Duration
	episodes int
}

func newBudget(maxEvents, maxBytes int, onFull func(events, bytes int)) *budget {
	return &budget{maxEvents: maxEvents, maxBytes: maxBytes, onFull: onFull, room: make(chan struct{}, 1)}
}

// take books one event of size bytes, and waits while it does not fit. An
// event larger than the whole budget fits when it is alone.
//
// When ctx ends take books the event over the bound: it was read, and dropping
// it would be a loss, while the reader stops anyway.
func (b *budget) take(ctx context.Context, size int) {
	b.mu.Lock()
	if !b.fits(size) {
		select {
		case <-b.room: // left by a give that met the end of an earlier ctx
		default:
		}
		b.wanted, b.fullSince = size, time.Now()
		b.episodes++
		events, bytes := b.events, b.bytes
		b.mu.Unlock()
		b.onFull(events, bytes)
		select {
		case <-b.room:
		case <-ctx.Done():
		}
		b.mu.Lock()
		b.endWait()
	}
	b.events++
	b.bytes += size
	b.mu.Unlock()
}

// give returns one event of size bytes.
func (b *budget) give(size int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events--
	b.bytes -= size
	if b.fullSince.IsZero() || !b.fits(b.wanted) {
		return
	}
	if b.events == 0 || (b.events <= b.maxEvents*3/4 && b.bytes <= b.maxBytes*3/4) {
		b.endWait()
		b.room <- struct{}{}
	}
}

// fits reports whether one more event of size bytes is within the bounds; b.mu
// is held.
func (b *budget) fits(size int) bool {
	return b.events == 0 || (b.events < b.maxEvents && b.bytes+size <= b.maxBytes)
}

// endWait closes the current episode, if there is one; b.mu is held.
func (b *budget) endWait() {
	if b.fullSince.IsZero() {
		return
	}
	b.waited += time.Since(b.fullSince)
	b.fullSince = time.Time{}
}

// pending returns what is taken and not given back.
func (b *budget) pending() (events, bytes int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.events, b.bytes
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
