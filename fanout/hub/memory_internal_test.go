package hub

import (
	"errors"
	"testing"
	"testing/synctest"
)

// TestMemoryIsSharedByClient: a client that takes none of its answers cannot hold all
// of the memory, and gets no more until it has taken one.
func TestMemoryIsSharedByClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		memory := newMemory(clientsOfMemory * 2 * pieceReserveBytes)
		var shares []*memoryShare
		for range 2 {
			share := &memoryShare{of: memory, client: "hostile"}
			if err := share.reserve(t.Context()); err != nil {
				t.Fatal(err)
			}
			shares = append(shares, share)
		}
		third := &memoryShare{of: memory, client: "hostile"}
		if err := third.reserve(t.Context()); !errors.Is(err, ErrNoMemory) {
			t.Errorf("a third answer of the client: %v", err)
		}
		honest := &memoryShare{of: memory, client: "honest"}
		if err := honest.reserve(t.Context()); err != nil {
			t.Errorf("another client: %v", err)
		}
		shares[0].set(0)
		if err := third.reserve(t.Context()); err != nil {
			t.Errorf("after one was taken: %v", err)
		}
		for _, share := range append(shares, third, honest) {
			share.set(0)
		}
		if memory.free != clientsOfMemory*2*pieceReserveBytes || len(memory.held) > 0 {
			t.Errorf("left: %+v", memory)
		}
	})
}
