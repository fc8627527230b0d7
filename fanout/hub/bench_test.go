package hub_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/fanout/gateway"
	"github.com/letswriteabook/realtime/fanout/hub"
	"github.com/letswriteabook/realtime/messaging"
)

// quietHub returns a hub that asks no store.
func quietHub(t testing.TB) *hub.Hub {
	t.Helper()
	hub, err := hub.New(nil, nil, nil, messaging.DefaultCatalogue(), gateway.Encoder{}, hub.DefaultConfig(), slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	return hub
}

// sampleRecord returns a record of a usual size: 340 bytes of body.
func sampleRecord() messaging.Record {
	body := fmt.Sprintf(`{"version":1,"kind":"domain","jobId":"job-7f3a","event":{"type":"chapter.saved","occurredAt":"2026-01-02T03:04:05Z","padding":%q}}`,
		strings.Repeat("x", 210))
	return messaging.Record{
		JobID: "job-7f3a", Kind: messaging.KindDomain, Body: []byte(body), EmittedAt: "2026-01-01T00:00:01.000Z",
		Position: messaging.Position{Epoch: "epoch-1"},
	}
}

// BenchmarkFanOut hands one live record to the subscriptions of its job: one
// encoding and as many offers, without what the sockets cost.
func BenchmarkFanOut(b *testing.B) {
	for _, n := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("subscriptions=%d", n), func(b *testing.B) {
			live, handed := hub.FanOut(quietHub(b), "job-7f3a", n)
			r := messaging.Live{Record: sampleRecord()}
			b.ReportAllocs()
			for b.Loop() {
				r.Previous = r.Sequence
				r.Sequence++
				live(r)
			}
			if got := handed(); got != n*int(r.Sequence) {
				b.Fatalf("%d handed over, want %d", got, n*int(r.Sequence))
			}
		})
	}
}

// eventAllocations is what one live event may allocate: its payload, the event, its wire
// form and the packet.
const eventAllocations = 4

// TestAllocationBudgetOfSubscriptions: an event costs its own allocations, and none for
// each subscription.
func TestAllocationBudgetOfSubscriptions(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates, too")
	}
	perEvent := func(subscriptions int) float64 {
		live, _ := hub.FanOut(quietHub(t), "job-7f3a", subscriptions)
		r := messaging.Live{Record: sampleRecord()}
		return testing.AllocsPerRun(200, func() {
			r.Previous = r.Sequence
			r.Sequence++
			live(r)
		})
	}
	one, thousand := perEvent(1), perEvent(1000)
	if one > eventAllocations {
		t.Errorf("%v allocations for an event, want at most %d", one, eventAllocations)
	}
	if thousand > one+1 { // the ring grows now and then
		t.Errorf("%v allocations for one subscription, %v for a thousand", one, thousand)
	}
}
