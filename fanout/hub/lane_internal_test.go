package hub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
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
		counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "shared_total"})
		crew := &crew{guard: contain.New(counter, slog.New(slog.DiscardHandler))}
		crew.begin(t.Context())
		flights := newFlights(crew, time.Hour, counter)
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

// ask puts a claim into the queues of its clients, as wait does.
func (l *lane) ask(c *claim) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.ready = make(chan struct{})
	for client := range c.clients {
		l.queue(client, c)
	}
	l.dispatch()
}

// Whatever the clients do, none has more than its share, no slot is free that somebody who
// may have it waits for, and nothing is left at the end.
func TestLaneKeepsItsInvariants(t *testing.T) {
	t.Parallel()
	const slots, steps = 6, 4000
	random := rand.New(rand.NewPCG(1, 2))
	lane := newLane(slots)
	var waiting, granted []*claim
	take := func(from *[]*claim) *claim {
		i := random.IntN(len(*from))
		taken := (*from)[i]
		*from = slices.Delete(*from, i, i+1)
		return taken
	}
	for step := range steps {
		client := fmt.Sprint(random.IntN(20))
		switch action := random.IntN(6); {
		case action < 2:
			c := claimOf(client)
			if action == 0 {
				c.clients["other"] = 1
			}
			lane.ask(c)
			waiting = append(waiting, c)
		case action == 2 && len(waiting) > 0: // gives up
			c := take(&waiting)
			lane.mu.Lock()
			lane.unqueue(c)
			lane.mu.Unlock()
		case action == 3 && len(waiting) > 0:
			c := waiting[random.IntN(len(waiting))]
			lane.support(c, client)
			if random.IntN(2) == 0 {
				lane.withdraw(c, client)
			}
		case len(granted) > 0:
			lane.leave(take(&granted).payer, 1)
		}
		waiting = slices.DeleteFunc(waiting, func(c *claim) bool {
			if c.ready == nil {
				granted = append(granted, c)
			}
			return c.ready == nil
		})
		for client, held := range lane.held {
			if held > lane.share {
				t.Fatalf("step %d: client %s has %d slots", step, client, held)
			}
		}
		for client := range lane.queues {
			if lane.free > 0 && lane.held[client] < lane.share {
				t.Fatalf("step %d: client %s waits, and %d slots are free", step, client, lane.free)
			}
		}
		if int(lane.free)+len(granted) != slots {
			t.Fatalf("step %d: %d slots are free, %d taken", step, lane.free, len(granted))
		}
	}
	for _, c := range waiting {
		lane.unqueue(c)
	}
	for _, c := range granted {
		lane.leave(c.payer, 1)
	}
	if lane.free != slots || len(lane.held)+len(lane.queues)+len(lane.turns) > 0 {
		t.Errorf("left: %+v", lane)
	}
}

// BenchmarkTurns gives one slot to clients that wait for it, one after the other.
func BenchmarkTurns(b *testing.B) {
	for _, clients := range []int{100, 10_000} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			lane := newLane(1)
			names := make([]string, clients)
			for i := range names {
				names[i] = fmt.Sprint("client ", i)
				lane.ask(claimOf(names[i]))
			}
			b.ReportAllocs()
			next := 0
			for b.Loop() {
				lane.leave(names[next%clients], 1) // its turn was the last
				lane.ask(claimOf(names[next%clients]))
				next++
			}
		})
	}
}
