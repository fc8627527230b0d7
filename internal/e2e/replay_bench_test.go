//go:build unix

package e2e_test

import (
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// BenchmarkReplayCommand replays logs of several sizes, and tells the rate and the
// most memory that the command had: the log is in another process, and its size makes
// no difference to the command.
func BenchmarkReplayCommand(b *testing.B) {
	for _, events := range []int{10_000, 100_000} {
		b.Run(fmt.Sprintf("events=%d", events), func(b *testing.B) {
			g := startGateway(b, settings{"NATS_LISTEN": "127.0.0.1:0", "NATS_SYNC": "1m"})
			fillLog(b, g, events)
			env := environ(settings{"NATS_URL": natsURL(g)})
			for name, args := range map[string][]string{"replay": {"replay"}, "dry-run": {"replay", "--dry-run"}, "event": {"log", "event", "0-0"}} {
				var took time.Duration
				var most int64
				for range b.N {
					command := exec.Command(build(b, "realtime"), args...)
					var complaints strings.Builder
					command.Env, command.Stderr = env, &complaints
					began := time.Now()
					if err := command.Run(); err != nil {
						b.Fatalf("%v: %s", err, complaints.String())
					}
					took += time.Since(began)
					if usage, ok := command.ProcessState.SysUsage().(*syscall.Rusage); ok {
						most = max(most, usage.Maxrss) // in KiB, on Linux
					}
				}
				b.ReportMetric(float64(events*b.N)/took.Seconds(), name+"-events/s")
				b.ReportMetric(float64(most)/1024, name+"-MiB")
			}
		})
	}
}

// fillLog publishes events of 100 jobs over HTTP.
func fillLog(b *testing.B, g *gateway, events int) {
	b.Helper()
	const page = 1000
	for from := 0; from < events; from += page {
		var lines strings.Builder
		for n := from; n < min(from+page, events); n++ {
			fmt.Fprintf(&lines, `{"kind":"domain","jobId":"job-%d","id":"%d-%d","event":{"type":"t","occurredAt":"o","text":"%0200d"}}`+"\n", n%100, n%100, n/100, n)
		}
		response, err := http.Post(g.url("/api/realtime/events"), "application/x-ndjson", strings.NewReader(lines.String()))
		if err != nil {
			b.Fatal(err)
		}
		_ = response.Body.Close() // The status is all that is asked for.
		if response.StatusCode != http.StatusOK {
			b.Fatalf("publish: %s", response.Status)
		}
	}
}
