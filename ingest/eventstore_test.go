package ingest_test

import (
	"fmt"
	"testing"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/eventstore/maintain"
	"github.com/letswriteabook/realtime/ingest"
	"github.com/letswriteabook/realtime/internal/testkit/logkit"
	"github.com/letswriteabook/realtime/messaging"
)

var _ ingest.Log = (*eventstore.Log)(nil)

func TestTwoGatewaysOnTheRealLog(t *testing.T) {
	t.Parallel()
	const rounds = 50
	b := setup(t)
	log := logkit.Open(t, logkit.Conn(t))
	receipts := b.receipts(t)
	open := func() *gateway {
		g := start(t, b.server.Client(), log, quick())
		g.waitConnected(t)
		return g
	}
	first, second := open(), open()
	same := event("job", "", -1)
	restarted := false
	for n := range rounds {
		// The id is answered by both gateways, after what is before it.
		b.publish(t, same, event("job", fmt.Sprint("id-", n), n))
		for range 2 {
			if receipt := next(t, receipts); receipt.ID != fmt.Sprint("id-", n) {
				t.Fatalf("receipt %+v in round %d", receipt, n)
			}
		}
		if n == rounds/2 {
			if err := second.stop(); err != nil {
				t.Fatalf("run: %v", err)
			}
			second, restarted = open(), true
		}
	}
	if !restarted {
		t.Fatal("no gateway was restarted")
	}
	b.publish(t, event("job", "id-0", 1_000_000), "poison", sized(t, "job", 1_000_001))
	eventually(t, "the dead letters", func() bool {
		letters, err := maintain.Of(log).DeadLetters(t.Context(), 0, 10)
		if err != nil {
			t.Fatalf("read dead letters: %v", err)
		}
		reasons := make(map[messaging.Reason]int)
		for _, letter := range letters {
			reasons[letter.Reason]++
		}
		return len(letters) == 3 && reasons[messaging.ReasonIDConflict] == 1 &&
			reasons[messaging.ReasonInvalidJSON] == 1 && reasons[messaging.ReasonTooLarge] == 1
	})
	for _, g := range []*gateway{first, second} {
		if err := g.stop(); err != nil {
			t.Errorf("run: %v", err)
		}
	}

	records, err := log.ReadAfter(t.Context(), "job", 0, 10*rounds)
	if err != nil {
		t.Fatalf("read the log: %v", err)
	}
	if len(records) != 2*rounds {
		t.Fatalf("%d records, want %d", len(records), 2*rounds)
	}
	for n, record := range records {
		want := n / 2
		if n%2 == 0 {
			want = -1
		}
		if got := number(t, record); got != want {
			t.Errorf("record %d is event %d, want %d", n, got, want)
		}
	}
}
