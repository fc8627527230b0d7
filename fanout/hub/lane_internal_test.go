package hub

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
)

// TestSlotsAreSharedByClient: one client with a hundred requests has half of the slots
// at most, and the others take their turns between its own.
func TestSlotsAreSharedByClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lane := newLane(4)
		ctx, cancel := context.WithCancel(t.Context())
		entered := make(chan string, 200)
		ask := func(client string) {
			go func() { // ends with a slot, or with ctx
				if lane.enter(ctx, client) == nil {
					entered <- client
				}
			}()
			synctest.Wait()
		}
		expect := func(want ...string) {
			t.Helper()
			synctest.Wait()
			var got []string
			for len(entered) > 0 {
				got = append(got, <-entered)
			}
			if !slices.Equal(got, want) {
				t.Fatalf("slots went to %v, want %v", got, want)
			}
		}
		for range 100 {
			ask("greedy")
		}
		expect("greedy", "greedy")
		for _, client := range []string{"a", "b", "c", "d"} {
			ask(client)
		}
		expect("a", "b")
		lane.leave("greedy", 1)
		expect("greedy") // whose turn it was
		lane.leave("greedy", 1)
		expect("c")
		lane.leave("a", 1)
		expect("d")
		lane.leave("b", 1)
		expect("greedy")
		cancel()
		synctest.Wait()
		for _, client := range []string{"c", "d", "greedy", "greedy"} {
			lane.leave(client, 1)
		}
		expect()
		if lane.free != 4 || len(lane.held)+len(lane.queues)+len(lane.turns) > 0 {
			t.Errorf("left: %+v", lane)
		}
	})
}

// TestWhoGivesUpTakesNoSlot: a request that is given up while it waits leaves the
// queue, and its slot goes to the next.
func TestWhoGivesUpTakesNoSlot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lane := newLane(1)
		if err := lane.enter(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		gaveUp, got := make(chan error, 1), make(chan error, 1)
		go func() { gaveUp <- lane.enter(ctx, "b") }() // ends with ctx
		synctest.Wait()
		go func() { got <- lane.enter(t.Context(), "c") }() // ends when b has given up and a has left
		synctest.Wait()
		cancel()
		if err := <-gaveUp; !errors.Is(err, context.Canceled) {
			t.Errorf("given up: %v", err)
		}
		lane.leave("a", 1)
		if err := <-got; err != nil {
			t.Errorf("the next: %v", err)
		}
		lane.leave("c", 1)
		if lane.free != 1 || len(lane.held)+len(lane.queues)+len(lane.turns) > 0 {
			t.Errorf("left: %+v", lane)
		}
	})
}
