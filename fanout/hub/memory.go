package hub

import (
	"context"
	"errors"
	"time"
)

// ErrNoMemory is returned by [Hub.List] when the answers in flight hold all the memory that
// they may. A retry succeeds once clients have read their answers.
var ErrNoMemory = errors.New("the answers in flight hold all the memory that they may")

const (
	// pieceReserveBytes is the most that one read of the history returns: a page, and the
	// record that ends it.
	pieceReserveBytes = 2 * sourcePageBytes
	// MemoryWait is how long a listing waits for memory.
	MemoryWait = 5 * time.Second
)

// clientsOfMemory limits one client to an eighth of the memory, so that a few clients that
// do not read their answers leave room for others.
const clientsOfMemory = 8

// newMemory returns the budget in bytes for what answers in flight have read of the history
// and not written yet. It is at least one read.
func newMemory(bytes int64) *lane {
	return newSharedLane(max(bytes, pieceReserveBytes), pieceReserveBytes, bytes/clientsOfMemory)
}

// memoryShare is the part of the memory that one answer holds. It is empty while the answer
// waits for memory, so that answers cannot wait for each other. It belongs to one goroutine.
type memoryShare struct {
	of     *lane
	client string
	held   int64
}

// reserve gives back what is held, and takes pieceReserveBytes. It fails with ErrNoMemory,
// or with the error of ctx.
func (s *memoryShare) reserve(ctx context.Context) error {
	s.set(0)
	waiting, cancel := context.WithTimeout(ctx, MemoryWait)
	defer cancel()
	if err := s.of.enter(waiting, s.client); err != nil {
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
		s.of.leave(s.client, s.held-bytes)
		s.held = bytes
	}
}
