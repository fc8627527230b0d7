package ingest_test

import (
	"fmt"
	"testing"
)

func TestReceiptsDoNotDelayAppends(t *testing.T) {
	t.Parallel()
	const events = 500
	cfg := quick()
	cfg.MaxPendingReceipts = 10
	b := setup(t)
	open := b.log.block()
	defer open()
	g := b.subscribed(t, cfg)
	for n := range events {
		b.publish(t, event("job", fmt.Sprint(n), n))
	}
	eventually(t, "the events to be read", func() bool { return g.metric(t, "pending_events") == events })
	b.server.Pause()
	open()
	b.log.waitRecords(t, events)
	if err := g.stop(); err != nil {
		t.Errorf("run: %v", err)
	}
	sent, failed, dropped := g.metric(t, "receipts_total{sent}"), g.metric(t, "receipts_total{failed}"), g.metric(t, "receipts_total{dropped}")
	if sent != 0 || failed == 0 || dropped == 0 || failed+dropped != events {
		t.Errorf("%v receipts sent, %v failed, %v dropped; want 0 sent and %d in the others", sent, failed, dropped, events)
	}
}

func TestReceiptsOfABurstAreAllSent(t *testing.T) {
	t.Parallel()
	const events = 2000
	b := setup(t)
	receipts := b.receipts(t)
	b.subscribed(t, quick())
	for n := range events {
		b.publish(t, event(fmt.Sprint("job-", n%10), fmt.Sprint(n), n))
	}
	ids := make(map[string]bool)
	sequences := make(map[uint64]bool)
	for range events {
		receipt := next(t, receipts)
		if receipt.Duplicate {
			t.Fatalf("receipt %+v, want no duplicate", receipt)
		}
		ids[receipt.ID], sequences[receipt.Sequence] = true, true
	}
	if len(ids) != events || len(sequences) != events {
		t.Errorf("receipts of %d ids at %d sequences, want %d", len(ids), len(sequences), events)
	}
}
