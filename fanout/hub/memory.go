package hub

import (
	"context"
	"errors"
	"time"
)

// ErrNoMemory says that the answers in flight hold all the memory that they may. A
// retry helps once clients have read their answers.
var ErrNoMemory = errors.New("the answers in flight hold all the memory that they may")

const (
	// pieceReserveBytes is the most that one read of the history returns: a page, and the
	// record that ends it.
	pieceReserveBytes = 2 * sourcePageBytes
	// MemoryWait is how long a listing waits for memory.
	MemoryWait = 5 * time.Second
)

// clientsOfMemory says that one client has at most an eighth of the memory, so that a few
// clients that do not read their answers leave room for others.
const clientsOfMemory = 8

// memory is the budget in bytes for what answers in flight have read of the history and
// not written yet.
type memory struct{ budget *lane }

// newMemory returns a budget of at least one read.
func newMemory(bytes int64) *memory {
	return &memory{budget: newSharedLane(max(bytes, pieceReserveBytes), pieceReserveBytes, bytes/clientsOfMemory)}
}

// memoryShare is what one answer holds of the memory. It holds nothing while it waits, so
// that answers cannot wait for each other. It belongs to one goroutine.
type memoryShare struct {
	of     *memory
	client string
	held   int64
}

// reserve gives back what is held, and takes pieceReserveBytes. It fails with ErrNoMemory,
// or with the error of ctx.
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
