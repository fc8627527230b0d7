package hub

import (
	"context"
	"errors"
	"time"
)

// ErrNoMemory says that the answers in flight hold all the memory that they may. A
// retry helps once clients have taken theirs.
var ErrNoMemory = errors.New("the answers in flight hold all the memory that they may")

const (
	// pieceReserveBytes is what one read of the history may bring: a page, and the
	// record that ends it.
	pieceReserveBytes = 2 * sourcePageBytes
	// MemoryWait is how long a listing waits for memory.
	MemoryWait = 5 * time.Second
)

// clientsOfMemory is how many clients it takes to use up the memory: each has at most
// that part of it, so that a few that do not take their answers leave room for others.
const clientsOfMemory = 8

// memory is the budget in bytes for what the answers in flight have read and not
// written yet.
type memory struct{ budget *lane }

// newMemory returns a budget that is enough for one read at least.
func newMemory(bytes int64) *memory {
	return &memory{budget: newSharedLane(max(bytes, pieceReserveBytes), pieceReserveBytes, bytes/clientsOfMemory)}
}

// memoryShare is what one answer holds of the memory. It holds nothing while it waits for
// more, so that answers cannot wait for each other. It belongs to one goroutine.
type memoryShare struct {
	of     *memory
	client string
	held   int64
}

// reserve takes what a read may bring, in place of what is held. It fails with
// ErrNoMemory, or with the error of ctx.
func (s *memoryShare) reserve(ctx context.Context) error {
	s.set(0)
	waiting, cancel := context.WithTimeout(ctx, MemoryWait)
	defer cancel()
	if err := s.of.budget.enter(waiting, s.client); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return ErrNoMemory
	}
	s.held = pieceReserveBytes
	return nil
}

// set lowers what is held.
func (s *memoryShare) set(bytes int64) {
	if bytes < s.held {
		s.of.budget.leave(s.client, s.held-bytes)
		s.held = bytes
	}
}
