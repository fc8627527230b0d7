package ingest_test

import (
	"fmt"
	"testing"

	"github.com/letswriteabook/realtime/messaging"
)

// settle waits until the gateways have handled all messages that they received.
func settle(t *testing.T, handled map[*gateway]int) {
	t.Helper()
	for g, count := range handled {
		eventually(t, "a gateway to handle what it heard", func() bool {
			if received := g.metric(t, "received_events_total"); received > float64(count) {
				t.Fatalf("%v events received, want %d", received, count)
			}
			return g.metric(t, "appended_events_total")+g.metric(t, "duplicate_events_total") == float64(count)
		})
	}
}

func TestIdenticalPublishesAreStoredOnceEach(t *testing.T) {
	t.Parallel()
	same, other := event("job", "", 1), event("job", "", 2)
	b := setup(t)
	first, second := b.subscribed(t, quick()), b.subscribed(t, quick())
	handled := map[*gateway]int{first: 0, second: 0}
	stored := 0
	publish := func(payloads ...string) {
		t.Helper()
		b.publish(t, payloads...)
		for g := range handled {
			handled[g] += len(payloads)
		}
		stored += len(payloads)
		settle(t, handled)
		if got := len(b.log.stored()); got != stored {
			t.Fatalf("%d records after %d publishes", got, stored)
		}
	}

	publish(same)
	publish(same, other, same)

	t.Log("one gateway is replaced: its successor starts counting at 0")
	if err := second.stop(); err != nil {
		t.Fatalf("run: %v", err)
	}
	delete(handled, second)
	publish(same)
	third := b.subscribed(t, quick())
	handled[third] = 0
	publish(same)
	publish(other, same, same)

	t.Log("one receives nothing for a while")
	deaf := b.subscribed(t, quick())
	handled[deaf] = 0
	publish(same)
	if err := b.client.ClientKillByFilter(t.Context(), "TYPE", "pubsub").Err(); err != nil {
		t.Fatalf("kill: %v", err)
	}
	for g := range handled {
		eventually(t, "the subscription to come back", func() bool { return g.metric(t, "gaps_total") > 0 && g.Connected() == nil })
	}
	publish(same, same)

	t.Log("all are replaced")
	for g := range handled {
		if err := g.stop(); err != nil {
			t.Fatalf("run: %v", err)
		}
	}
	handled = map[*gateway]int{b.subscribed(t, quick()): 0, b.subscribed(t, quick()): 0}
	publish(same, other, same)
}

func TestIdentityStartsAgainAfterTheDedupWindow(t *testing.T) {
	t.Parallel()
	cfg := quick()
	cfg.DedupWindow = 1 // a nanosecond, which has passed at the next event
	b := setup(t)
	b.subscribed(t, cfg)
	same := event("job", "", 1)
	b.publish(t, same)
	first := b.log.waitRecords(t, 1)[0].MessageID
	b.log.forgetIDs()
	b.publish(t, same)
	if again := b.log.waitRecords(t, 2)[1].MessageID; again != first {
		t.Errorf("message id %s after the window, want %s again", again, first)
	}
}

func TestForgottenIdentityIsNotTakenForAnEarlierPublish(t *testing.T) {
	t.Parallel()
	cfg := quick()
	cfg.MaxPendingEvents, cfg.MaxIdentities = 1, 1
	b := setup(t)
	b.subscribed(t, cfg)
	for round := range 3 {
		for n := range 3 {
			b.publish(t, event("job", "", n))
			b.log.waitRecords(t, round*3+n+1)
		}
	}
}

func TestProducerIDInTheFormOfADerivedOne(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.subscribed(t, quick())
	anonymous := event("job", "", 1)
	b.publish(t, anonymous)
	derived := b.log.waitRecords(t, 1)[0].MessageID
	b.publish(t, event("job", derived, 2), event("job", "", 3), anonymous)
	b.log.waitLetters(t, 1)
	b.log.waitRecords(t, 3)
}

func TestUnknownBaselineIsReadAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.log.failHead(errPassing)

	g := b.subscribed(t, quick()) // listens all the same
	same := event("job", "", 1)
	b.publish(t, same, event("job-2", "id", 2))
	b.log.waitRecords(t, 1) // an event with an id does not need the head
	b.log.wait(t, "the head to be asked for again", func() bool { return b.log.heads > 3 })
	if stored := b.log.stored(); len(stored) != 1 || stored[0].ID != "id" {
		t.Fatalf("%d records while the head is unknown, want the one with an id", len(stored))
	}
	b.log.failHead(nil)
	b.log.waitRecords(t, 2)
	b.publish(t, same)
	b.log.waitRecords(t, 3)
	settle(t, map[*gateway]int{g: 3})
}

func TestRestartedLogDropsTheFloors(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for n := range 10 {
		if _, err := b.log.Append(t.Context(), messaging.Record{MessageID: fmt.Sprint(n)}); err != nil {
			t.Fatalf("append: %v", err)
		}
	}
	first, second := b.subscribed(t, quick()), b.subscribed(t, quick()) // with a baseline of 10
	handled := 0
	publish := func(n int) {
		t.Helper()
		b.publish(t, event("job", "", n))
		handled++
		settle(t, map[*gateway]int{first: handled, second: handled})
	}
	for n := range 3 {
		publish(n)
	}
	b.log.begin()
	publish(3) // the gateway that comes second may store it again: it cannot know yet
	again := len(b.log.stored())
	for n := range 4 {
		publish(n)
	}
	if got := len(b.log.stored()); got > again+5 {
		t.Errorf("%d records after %d and 4 publishes, want one each soon", got, again)
	}
	settled := len(b.log.stored())
	for n := range 4 {
		publish(n)
	}
	if got := len(b.log.stored()); got != settled+4 {
		t.Errorf("%d records after %d and 4 publishes, want one each", got, settled)
	}
}
