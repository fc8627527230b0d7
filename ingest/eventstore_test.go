package ingest_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/ingest"
	"github.com/letswriteabook/realtime/internal/natsserver"
	"github.com/letswriteabook/realtime/messaging"
)

var _ ingest.Log = (*eventstore.Log)(nil)

// openLog returns the real log on an embedded server, both of which end with
// the test.
func openLog(t *testing.T) *eventstore.Log {
	t.Helper()
	server, err := natsserver.Start(natsserver.Config{StoreDir: t.TempDir()})
	if err != nil {
		t.Fatalf("start NATS: %v", err)
	}
	t.Cleanup(func() { _ = server.Close(context.Background()) })
	conn, err := server.Conn(eventstore.ConnOptions(slog.New(slog.DiscardHandler))...)
	if err != nil {
		t.Fatalf("connect to NATS: %v", err)
	}
	t.Cleanup(conn.Close)
	log, err := eventstore.Open(t.Context(), conn, eventstore.DefaultConfig(), slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatalf("open the log: %v", err)
	}
	return log
}

func TestTwoGatewaysOnTheRealLog(t *testing.T) {
	t.Parallel()
	const rounds = 50
	b := setup(t)
	log := openLog(t)
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
		letters, err := log.DeadLetters(t.Context(), 0, 10)
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
