package fanout_test

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/fanout"
	"github.com/letswriteabook/realtime/messaging"
)

func quietHub(t testing.TB) *fanout.Hub {
	t.Helper()
	log := newMemoryLog()
	hub, err := fanout.NewHub(log, newMemoryTail(log), nil, messaging.DefaultCatalogue(), fanout.DefaultConfig(), slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	return hub
}

// sample is a record of a usual size: 340 bytes of body.
func sample() messaging.Record {
	r := record("job-7f3a", 210)
	r.EmittedAt = emittedAt(1)
	return r
}

// BenchmarkFanOut hands one live record to the subscriptions of its job: one
// encoding and as many offers, without what the sockets cost.
func BenchmarkFanOut(b *testing.B) {
	for _, n := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("subscriptions=%d", n), func(b *testing.B) {
			live, handed := fanout.FanOut(quietHub(b), "job-7f3a", n)
			r := messaging.Live{Record: sample()}
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

// BenchmarkFanOutToSockets does so over real sockets on loopback: from the live
// record to the last client's having read it.
func BenchmarkFanOutToSockets(b *testing.B) {
	for _, n := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("sockets=%d", n), func(b *testing.B) {
			s := setup(b, options{withoutDB: true})
			clients := make([]*socketClient, n)
			for i := range clients {
				clients[i] = s.connect()
				clients[i].subscribe("job-7f3a")
				expect(b, clients[i], messaging.EventCaughtUp)
			}
			b.ReportAllocs()
			for b.Loop() {
				s.log.append(sample())
				for _, c := range clients {
					if _, err := c.Next(b.Context()); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed())/float64(time.Microsecond)/float64(b.N*n), "µs/delivery")
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	for _, padding := range []int{0, 210, 10_000} {
		r := record("job-7f3a", padding)
		r.Sequence, r.EmittedAt = 1_234_567, emittedAt(1)
		b.Run(fmt.Sprintf("bytes=%d", len(r.Body)), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(r.Body)))
			for b.Loop() {
				if _, _, err := fanout.Encode(messaging.DefaultCatalogue(), r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestAllocationBudgets: an event is encoded once for everybody. What it costs
// per subscription is no allocation at all.
func TestAllocationBudgets(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates, too")
	}
	r := sample()
	r.Sequence = 1_234_567
	if got := testing.AllocsPerRun(200, func() {
		if _, _, err := fanout.Encode(messaging.DefaultCatalogue(), r); err != nil {
			t.Fatal(err)
		}
	}); got > encodeBudget {
		t.Errorf("%v allocations to encode an event, budget %v", got, encodeBudget)
	}
	perEvent := func(subscriptions int) float64 {
		live, _ := fanout.FanOut(quietHub(t), "job-7f3a", subscriptions)
		r := messaging.Live{Record: sample()}
		return testing.AllocsPerRun(200, func() {
			r.Previous = r.Sequence
			r.Sequence++
			live(r)
		})
	}
	if one, thousand := perEvent(1), perEvent(1000); thousand > one+1 { // the ring grows now and then
		t.Errorf("%v allocations for one subscription, %v for a thousand", one, thousand)
	}
}

// encodeBudget is for the event, its payload, its packet and its block.
const encodeBudget = 9
