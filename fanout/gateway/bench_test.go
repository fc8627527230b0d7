package gateway_test

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/fanout/gateway"
	"github.com/letswriteabook/realtime/fanout/recorder"
	"github.com/letswriteabook/realtime/guardrails"
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

// BenchmarkIdleSubscription reports the memory that remains per idle socket which follows a job
// with others, with its session and its trail; the client's end is a bare connection.
func BenchmarkIdleSubscription(b *testing.B) {
	const sockets, jobs = 2000, 200
	for b.Loop() {
		notes, err := recorder.New(recorder.Config{Bytes: 32 << 20, Events: 50_000})
		if err != nil {
			b.Fatal(err)
		}
		s := setup(b, options{withoutDB: true, recorder: notes, sessions: newMemorySessions(), limits: guardrails.Limits{IdleTimeout: time.Hour}})
		heap, stacks := heapAndStacks()
		conns := make([]net.Conn, sockets)
		for i := range conns {
			conns[i] = s.subscribeBare(fmt.Sprint("job-", i%jobs))
		}
		laterHeap, laterStacks := heapAndStacks()
		b.ReportMetric(float64(laterHeap-heap)/sockets, "heap-B/socket")
		b.ReportMetric(float64(laterStacks-stacks)/sockets, "stack-B/socket")
		for _, conn := range conns {
			_ = conn.Close()
		}
		s.stop()
	}
}

// subscribeBare opens a WebSocket that follows a job and has caught up.
func (s *stage) subscribeBare(jobID string) net.Conn {
	s.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		s.t.Fatal(err)
	}
	text := "GET /ws?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: https://app.test\r\n\r\n"
	var received []byte
	for _, step := range []struct{ send, until string }{
		{text, "sid"},
		{masked("40"), "40{"},
		{masked(`42["subscribe",{"jobId":"` + jobID + `"}]`), messaging.EventCaughtUp},
	} {
		if _, err := io.WriteString(conn, step.send); err != nil {
			s.t.Fatal(err)
		}
		for !strings.Contains(string(received), step.until) {
			piece := make([]byte, 1024)
			n, err := conn.Read(piece)
			if err != nil {
				s.t.Fatalf("%v after %q", err, received)
			}
			received = append(received, piece[:n]...)
		}
		received = nil
	}
	return conn
}

// masked returns a short text frame of a client.
func masked(text string) string {
	return string([]byte{0x81, 0x80 | byte(len(text)), 0, 0, 0, 0}) + text
}

func heapAndStacks() (heap, stacks uint64) {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc, stats.StackInuse
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
