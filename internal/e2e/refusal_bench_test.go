package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/letswriteabook/realtime/lab/load/socket"
	"github.com/letswriteabook/realtime/messaging"
)

// BenchmarkRefusals sends handshakes that are refused, at several rates, while
// 200 accepted sockets follow a job with 20 events a second. It reports the
// latency of those, from the moment an event was to be published, against the
// same without refusals in the same run, and the rate that was reached: clients
// and gateway share the machine.
//
//	go test ./internal/e2e -run '^$' -bench Refusals -benchtime 1x
func BenchmarkRefusals(b *testing.B) {
	const (
		accepted = 200
		phase    = 10 * time.Second
	)
	for _, perSecond := range []int{500, 1000, 2000, 5000} {
		b.Run(fmt.Sprintf("rate=%d", perSecond), func(b *testing.B) {
			for b.Loop() {
				g := startGateway(b, settings{"SOCKET_MAX_CONNECTIONS": fmt.Sprint(accepted), "NATS_SYNC": "10s"})
				watch := gatherAudience(b, g, accepted)
				quiet := watch.during(b, g, phase)
				before, began := g.cpu(), time.Now()
				var refused int
				storm, stop := context.WithCancel(b.Context())
				var storming sync.WaitGroup
				storming.Go(func() { refused = refuse(b, storm, g, perSecond) }) // ends with storm
				stormy := watch.during(b, g, phase)
				stop()
				storming.Wait()
				took := time.Since(began).Seconds()
				b.ReportMetric(float64(refused)/took, "refusals/s")
				b.ReportMetric(100*(g.cpu()-before).Seconds()/took, "%core-gateway")
				b.ReportMetric(quantile(quiet, 0.99), "ms-p99-quiet")
				b.ReportMetric(quantile(stormy, 0.99), "ms-p99-storm")
				b.ReportMetric(quantile(stormy, 0.99)/quantile(quiet, 0.99), "x-p99")
				watch.leave()
				g.kill()
			}
		})
	}
}

func quantile(latencies []time.Duration, q float64) (milliseconds float64) {
	slices.Sort(latencies)
	return float64(latencies[int(q*float64(len(latencies)-1))].Microseconds()) / 1000
}

// audience is sockets that follow one job, and note how late each event is.
type audience struct {
	*crowd
	mu        sync.Mutex // guards latencies
	latencies []time.Duration
}

func gatherAudience(b *testing.B, g *gateway, sockets int) *audience {
	a := &audience{crowd: gather(b, g, sockets, 1)}
	for _, socket := range a.sockets {
		go a.note(socket) // ends with the socket
	}
	return a
}

func (a *audience) note(conn *socket.Socket) {
	for {
		event, err := conn.Next(context.Background())
		if err != nil {
			return
		}
		var payload struct {
			Event struct{ Due time.Time }
		}
		if event.Name != "novel.domain-event" || event.Decode(&payload) != nil {
			continue
		}
		latency := time.Since(payload.Event.Due)
		a.mu.Lock()
		a.latencies = append(a.latencies, latency)
		a.mu.Unlock()
	}
}

// during publishes 20 events a second for a while, and returns how late each
// delivery was.
func (a *audience) during(b *testing.B, g *gateway, phase time.Duration) []time.Duration {
	b.Helper()
	const pause = 50 * time.Millisecond
	want := len(a.sockets) * int(phase/pause)
	due := time.Now()
	for range phase / pause {
		due = due.Add(pause)
		time.Sleep(time.Until(due)) // the pace of the load
		envelope := fmt.Sprintf(`{"kind":"domain","jobId":"job-0","event":{"type":"tick","occurredAt":"now","due":%q}}`, due.Format(time.RFC3339Nano))
		response, err := http.Post(g.url("/api/realtime/events"), "application/json", strings.NewReader(envelope))
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		if response.StatusCode != http.StatusCreated {
			b.Fatalf("publish: %s", response.Status)
		}
	}
	var taken []time.Duration
	eventually(b, "every event is delivered", func() error {
		a.mu.Lock()
		defer a.mu.Unlock()
		if len(a.latencies) < want {
			return fmt.Errorf("%d of %d deliveries", len(a.latencies), want)
		}
		taken, a.latencies = a.latencies, nil
		return nil
	})
	return taken
}

// A whole client is two writes, the WebSocket handshake and a masked text frame
// with CONNECT, because the clients run on the gateway's processors.
var (
	upgrade = []byte("GET /ws/?EIO=4&transport=websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	connect = []byte("\x81\x82\x00\x00\x00\x0040")
)

// refuse makes handshakes at a rate until ctx ends, and returns how many were
// refused as the contract says.
func refuse(b *testing.B, ctx context.Context, g *gateway, perSecond int) int {
	pace := rate.NewLimiter(rate.Limit(perSecond), 100)
	var refused atomic.Int64
	var lanes sync.WaitGroup
	for lane := range 32 {
		// Sources of their own, so that no port is needed twice in a while.
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(lane))}}
		lanes.Go(func() { // ends with ctx
			for pace.Wait(ctx) == nil {
				if err := refusedOnce(&dialer, g.address()); err != nil {
					b.Errorf("a handshake: %v", err)
					return
				}
				refused.Add(1)
			}
		})
	}
	lanes.Wait()
	return int(refused.Load())
}

func refusedOnce(dialer *net.Dialer, address string) error {
	conn, err := dialer.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.(*net.TCPConn).SetLinger(0) // no port waits
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := conn.Write(upgrade); err != nil {
		return err
	}
	var answer []byte
	joining := false
	for chunk := make([]byte, 1024); ; {
		n, err := conn.Read(chunk)
		answer = append(answer, chunk[:n]...)
		if !joining && bytes.Contains(answer, []byte("\r\n\r\n")) {
			joining = true
			if _, err := conn.Write(connect); err != nil {
				return err
			}
		}
		if at := bytes.Index(answer, []byte("44{")); at >= 0 && bytes.HasSuffix(answer, []byte("}}")) || err != nil {
			var refusal struct{ Data struct{ Code messaging.Code } }
			if at < 0 || json.NewDecoder(bytes.NewReader(answer[at+2:])).Decode(&refusal) != nil || refusal.Data.Code != messaging.CodeMaxConnectionsExceeded {
				return fmt.Errorf("answered %q, %w", answer, err)
			}
			return nil
		}
	}
}
