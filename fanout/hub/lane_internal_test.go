package hub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/internal/contain"
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

// TestSupportedClaimTakesTheFirstTurn: work that a client with many requests has asked for
// begins in the turn of another client that waits for it, too.
func TestSupportedClaimTakesTheFirstTurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lane := newLane(2) // one slot for each client
		ctx, cancel := context.WithCancel(t.Context())
		for range 100 {
			go func() { _ = lane.enter(ctx, "greedy") }() // ends with ctx
		}
		synctest.Wait()
		shared := claimOf("greedy")
		began := make(chan struct{})
		go func() { // ends when a client's turn comes
			defer close(began)
			if err := lane.wait(t.Context(), shared); err != nil {
				t.Error(err)
			}
		}()
		synctest.Wait()
		lane.support(shared, "polite")
		lane.support(shared, "polite")
		lane.withdraw(shared, "polite")
		synctest.Wait()
		select {
		case <-began:
		default:
			t.Fatal("the shared work waits for its first client")
		}
		if shared.payer != "polite" {
			t.Errorf("the slot is of the share of %q", shared.payer)
		}
		lane.leave(shared.payer, 1)

		// A client that gives up lends its turn to nobody.
		other := claimOf("greedy")
		gaveUp := make(chan error, 1)
		waiting, giveUp := context.WithCancel(t.Context())
		lane.support(other, "polite")
		lane.withdraw(other, "polite")
		go func() { gaveUp <- lane.wait(waiting, other) }() // ends with waiting
		synctest.Wait()
		if lane.free != 1 {
			t.Errorf("%d slots are free, want 1", lane.free)
		}
		giveUp()
		if err := <-gaveUp; !errors.Is(err, context.Canceled) {
			t.Errorf("given up: %v", err)
		}
		cancel()
		synctest.Wait()
		lane.leave("greedy", 1)
		if lane.free != 2 || len(lane.held)+len(lane.queues)+len(lane.turns) > 0 {
			t.Errorf("left: %+v", lane)
		}
	})
}

// TestSharedReadDoesNotWaitForItsFirstClient: a client that shares a read is not kept
// waiting by the other reads of the client that asked for it first.
func TestSharedReadDoesNotWaitForItsFirstClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		crew := &crew{}
		crew.begin(t.Context())
		counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "shared_total"})
		flights := newFlights(crew, contain.New(counter, slog.New(slog.DiscardHandler)), time.Hour, counter)
		ctx, cancel := context.WithCancel(t.Context())
		by := func(client string) asker { return asker{class: classPage, claim: claimOf(client)} }
		held := func(ctx context.Context) (string, error) { <-ctx.Done(); return "", ctx.Err() }
		quick := func(context.Context) (string, error) { return "the page", nil }
		for i := range 100 {
			go func() { _, _ = share(ctx, flights, by("hostile"), fmt.Sprint(i), held) }() // ends with ctx
		}
		synctest.Wait()
		first, second := make(chan string, 1), make(chan string, 1)
		ask := func(client string, answer chan<- string) {
			page, err := share(t.Context(), flights, by(client), "shared", quick)
			if err != nil {
				t.Error(err)
			}
			answer <- page
		}
		go ask("hostile", first) // ends with the read
		synctest.Wait()
		if len(first) > 0 {
			t.Fatal("the hostile client has more than its share")
		}
		go ask("polite", second) // likewise
		synctest.Wait()
		if len(first) != 1 || len(second) != 1 {
			t.Error("the shared read waits for the other reads of its first client")
		}
		cancel()
		synctest.Wait()
		crew.end()
		for class, lane := range flights.lanes {
			if lane.free != slotsOf[class] || len(lane.held)+len(lane.queues)+len(lane.turns) > 0 {
				t.Errorf("left in class %d: %+v", class, lane)
			}
		}
	})
}
