package gateway_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/fanout/gateway"
	"github.com/letswriteabook/realtime/fanout/recorder"
	"github.com/letswriteabook/realtime/messaging"
)

// sample is a record of a usual size: 340 bytes of body.
func sample() messaging.Record {
	r := record("job-7f3a", 210)
	r.EmittedAt = emittedAt(1)
	return r
}

// BenchmarkFanOutToSockets hands one live record to the subscriptions of its job over
// real sockets on loopback: from the live record to the last client's having read it.
func BenchmarkFanOutToSockets(b *testing.B) {
	for _, n := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("sockets=%d", n), func(b *testing.B) { fanOutToSockets(b, n, nil) })
	}
}

// BenchmarkRecordedFanOutToSockets is BenchmarkFanOutToSockets with the flight recorder.
func BenchmarkRecordedFanOutToSockets(b *testing.B) {
	for _, n := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("sockets=%d", n), func(b *testing.B) {
			notes, err := recorder.New(recorder.Config{Bytes: 32 << 20, Events: 50_000})
			if err != nil {
				b.Fatal(err)
			}
			fanOutToSockets(b, n, notes)
		})
	}
}

func fanOutToSockets(b *testing.B, n int, notes *recorder.Recorder) {
	b.Helper()
	s := setup(b, options{withoutDB: true, recorder: notes})
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
}

func BenchmarkEncode(b *testing.B) {
	for _, padding := range []int{0, 210, 10_000} {
		r := record("job-7f3a", padding)
		r.Sequence, r.EmittedAt = 1_234_567, emittedAt(1)
		b.Run(fmt.Sprintf("bytes=%d", len(r.Body)), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(r.Body)))
			for b.Loop() {
				if _, _, err := gateway.Encode(messaging.DefaultCatalogue(), r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestAllocationBudgetOfEncoding: an event is encoded once for everybody.
func TestAllocationBudgetOfEncoding(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates, too")
	}
	r := sample()
	r.Sequence = 1_234_567
	if got := testing.AllocsPerRun(200, func() {
		if _, _, err := gateway.Encode(messaging.DefaultCatalogue(), r); err != nil {
			t.Fatal(err)
		}
	}); got > encodeBudget {
		t.Errorf("%v allocations to encode an event, budget %v", got, encodeBudget)
	}
}

// encodeBudget is for the event, its payload, its packet and its block.
const encodeBudget = 9
