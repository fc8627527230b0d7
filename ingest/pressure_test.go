package ingest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/messaging"
)

func TestBackPressureIsBoundedAndLosesNothing(t *testing.T) {
	t.Parallel()
	const events = 2000
	tests := map[string]struct {
		maxEvents, maxBytes int
		bound               string
		limit               float64
	}{
		"events": {maxEvents: 100, maxBytes: 1 << 20, bound: "pending_events", limit: 100},
		"bytes":  {maxEvents: 10_000, maxBytes: 20_000, bound: "pending_bytes", limit: 20_000},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := quick()
			cfg.MaxPendingEvents, cfg.MaxPendingBytes = test.maxEvents, test.maxBytes
			cfg.MaxEventBytes, cfg.MaxDeadLetterBytes = 10_000, 10_000
			b := setup(t)
			open := b.log.block()
			defer open()
			g := b.subscribed(t, cfg)
			for n := range events {
				if n%20 == 0 { // dead letters count too
					b.publish(t, "poison")
				} else {
					b.publish(t, event(fmt.Sprint("job-", n%7), fmt.Sprint("id-", n), n))
				}
			}
			eventually(t, "an episode of back-pressure", func() bool { return g.metric(t, "backpressure_episodes_total") == 1 })
			if pending := g.metric(t, test.bound); pending > test.limit || pending < test.limit*8/10 {
				t.Errorf("%s is %v, want just within %v", test.bound, pending, test.limit)
			}
			if received := g.metric(t, "received_events_total"); received > 250 {
				t.Errorf("%v events were read, want no more than fit", received)
			}
			if seconds := g.metric(t, "backpressure_seconds_total"); seconds <= 0 {
				t.Errorf("%v s of back-pressure while it lasts, want some", seconds)
			}
			open()
			b.log.waitRecords(t, events*19/20)
			b.log.waitLetters(t, events/20)
			if err := g.stop(); err != nil {
				t.Fatalf("run: %v", err)
			}
			// Between two episodes a quarter of the bound must have been stored.
			if episodes := g.metric(t, "backpressure_episodes_total"); episodes > 100 {
				t.Errorf("%v episodes, want few long ones", episodes)
			}
			if gaps := g.metric(t, "gaps_total"); gaps != 0 {
				t.Errorf("%v gaps, want none", gaps)
			}
			if bytes := g.metric(t, "pending_bytes"); bytes != 0 {
				t.Errorf("%v bytes pending at the end, want 0", bytes)
			}
		})
	}
}

func TestStopDuringBackPressureKeepsTheEventInHand(t *testing.T) {
	t.Parallel()
	cfg := quick()
	cfg.MaxPendingEvents = 3
	b := setup(t)
	open := b.log.block()
	defer open()
	g := b.subscribed(t, cfg)
	for n := range 10 {
		b.publish(t, event("job", "", n))
	}
	eventually(t, "back-pressure", func() bool { return g.metric(t, "backpressure_episodes_total") == 1 })
	g.cancel()
	eventually(t, "the event in hand to be taken", func() bool { return g.metric(t, "pending_events") == 4 })
	open()
	if err := g.stop(); err != nil {
		t.Errorf("run: %v", err)
	}
	if stored := len(b.log.stored()); stored != 4 {
		t.Errorf("%d events stored, want the 3 pending and the one in hand", stored)
	}
}

// Redis disconnects a subscriber that does not read; this must count as a gap.
func TestSubscriberCutOffDuringBackPressureSeesAGap(t *testing.T) {
	t.Parallel()
	cfg := quick()
	cfg.MaxPendingEvents = 3
	b := setup(t)
	if err := b.client.ConfigSet(t.Context(), "client-output-buffer-limit", "pubsub 1mb 1mb 1").Err(); err != nil {
		t.Fatalf("set limit: %v", err)
	}
	open := b.log.block()
	defer open()
	g := b.subscribed(t, cfg)
	padding := strings.Repeat("x", 100_000)
	heard := int64(1)
	for n := 0; heard > 0; n++ {
		body := fmt.Sprintf(`{"kind":"domain","jobId":"job","event":{"type":"t","occurredAt":"now","n":%d,"pad":%q}}`, n, padding)
		var err error
		if heard, err = b.client.Publish(t.Context(), messaging.EventsChannel, body).Result(); err != nil {
			t.Fatalf("publish: %v", err)
		}
	}
	open()
	eventually(t, "the gap to be counted", func() bool { return g.metric(t, "gaps_total") == 1 })
	if seconds := g.metric(t, "outage_seconds_total"); seconds <= 0 {
		t.Errorf("an outage of %v s, want some", seconds)
	}
	b.publish(t, event("other", "", 1))
	b.log.wait(t, "the event after the gap", func() bool {
		return len(b.log.records) > 0 && b.log.records[len(b.log.records)-1].JobID == "other"
	})
}
