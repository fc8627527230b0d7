package guardrails

import (
	"slices"
	"sync"
	"time"
)

// maxReturned bounds the rates of one kind that are kept after their connections have
// ended. Beyond it, the rate of a connection is forgotten.
const maxReturned = 16 << 10

// owing is the usage of a rate by one connection.
type owing interface {
	comparable
	// owes returns how long it takes until the rate is full again if nothing is sent.
	owes(now time.Time) time.Duration
}

// returned keeps the used rates of ended connections, by owner, until they are full again.
// The owner's next connections start with the same usage, so that reconnecting does not
// renew the rates. Its methods may be called concurrently.
type returned[T owing] struct {
	mu      sync.Mutex // guards the two below
	byOwner map[string][]T
	count   int
}

func newReturned[T owing]() returned[T] { return returned[T]{byOwner: make(map[string][]T)} }

// take returns the rate of an owner that is furthest from full, or false if all rates that
// the owner returned are full again.
func (r *returned[T]) take(owner string, now time.Time) (taken T, found bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	left := r.unsettled(owner, now)
	if len(left) == 0 {
		r.replace(owner, nil)
		return taken, false
	}
	taken = slices.MaxFunc(left, func(a, b T) int { return int(a.owes(now) - b.owes(now)) })
	index := slices.Index(left, taken)
	r.replace(owner, slices.Delete(left, index, index+1))
	return taken, true
}

// put keeps the rate of a connection that has ended.
func (r *returned[T]) put(owner string, left T, now time.Time) {
	if left.owes(now) <= 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.count >= maxReturned {
		for owner := range r.byOwner {
			r.replace(owner, r.unsettled(owner, now))
		}
	}
	if r.count < maxReturned {
		r.replace(owner, append(r.byOwner[owner], left))
	}
}

// unsettled returns the owner's rates that are not full again. It is called with mu held.
func (r *returned[T]) unsettled(owner string, now time.Time) []T {
	return slices.DeleteFunc(r.byOwner[owner], func(one T) bool { return one.owes(now) <= 0 })
}

// replace sets the owner's list to left. It is called with mu held.
func (r *returned[T]) replace(owner string, left []T) {
	r.count += len(left) - len(r.byOwner[owner]) // DeleteFunc does not change the length of the old list
	r.byOwner[owner] = left
	if len(left) == 0 {
		delete(r.byOwner, owner)
	}
}
