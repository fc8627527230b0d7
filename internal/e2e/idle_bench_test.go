package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/lab/load/socket"
	"github.com/letswriteabook/realtime/messaging"
)

// BenchmarkIdleSockets holds 10,000 subscribed sockets that do nothing: what they
// take of memory and processor with and without an idle timeout, whether the
// metrics page and the kernel count alike, and how late the evictions are.
//
//	go test ./internal/e2e -run '^$' -bench IdleSockets -benchtime 1x -timeout 20m
func BenchmarkIdleSockets(b *testing.B) {
	const (
		sockets = 10_000
		jobs    = 1_000
		quiet   = 40 * time.Second
	)
	for _, timeout := range []time.Duration{0, 2 * time.Minute} {
		b.Run("timeout="+timeout.String(), func(b *testing.B) {
			for b.Loop() {
				g := startGateway(b, settings{"SOCKET_IDLE_TIMEOUT_MS": fmt.Sprint(timeout.Milliseconds())})
				empty := g.memory()
				crowd := gather(b, g, sockets, jobs)
				b.ReportMetric((g.memory()-empty)/sockets/1024, "KiB/socket")
				before := g.cpu()
				time.Sleep(quiet) // what is measured is doing nothing
				b.ReportMetric(100*(g.cpu()-before).Seconds()/quiet.Seconds(), "%core-idle")
				kernel, page := established(b, g.port), g.connections()
				b.ReportMetric(float64(kernel), "kernel-count")
				b.ReportMetric(float64(page), "page-count")
				if kernel != sockets || page != sockets {
					b.Errorf("the kernel counts %d connections, the page %d; there are %d", kernel, page, sockets)
				}
				if timeout > 0 {
					before = g.cpu()
					late := crowd.evicted(b, timeout)
					b.ReportMetric(100*(g.cpu()-before).Seconds()/time.Since(crowd.gathered.Add(quiet)).Seconds(), "%core-evicting")
					b.ReportMetric(float64(late[len(late)/2].Milliseconds()), "ms-late-p50")
					b.ReportMetric(float64(late[len(late)*99/100].Milliseconds()), "ms-late-p99")
					b.ReportMetric(float64(late[len(late)-1].Milliseconds()), "ms-late-max")
					eventually(b, "nobody is counted", func() error {
						if left := g.connections(); left > 0 {
							return errStillCounted
						}
						return nil
					})
				}
				crowd.leave()
				g.kill()
			}
		})
	}
}

// connections asks the metrics page, over a connection that does not stay.
func (g *gateway) connections() int {
	g.t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(g.url("/internal/realtime/metrics"))
	if err != nil {
		g.t.Fatal(err)
	}
	defer response.Body.Close()
	var page struct{ TotalConnections int }
	if err := json.NewDecoder(response.Body).Decode(&page); err != nil {
		g.t.Fatal(err)
	}
	return page.TotalConnections
}

// crowd is many sockets, each subscribed to one job and silent since.
type crowd struct {
	sockets  []*socket.Socket
	asked    []time.Time // when each asked for its job: its last sign of life is no earlier
	gathered time.Time
}

// gather connects the sockets, a few at once.
func gather(b *testing.B, g *gateway, sockets, jobs int) *crowd {
	b.Helper()
	c := &crowd{sockets: make([]*socket.Socket, sockets), asked: make([]time.Time, sockets)}
	var lanes sync.WaitGroup
	const abreast = 32
	for lane := range abreast {
		lanes.Go(func() { // ends with its last socket
			for i := lane; i < sockets && !b.Failed(); i += abreast {
				if err := c.join(b, g, i, fmt.Sprintf("job-%d", i%jobs)); err != nil {
					b.Errorf("socket %d: %v", i, err)
				}
			}
		})
	}
	lanes.Wait()
	b.Cleanup(c.leave)
	if b.Failed() {
		b.FailNow()
	}
	c.gathered = time.Now()
	return c
}

func (c *crowd) join(b *testing.B, g *gateway, i int, jobID string) error {
	conn, err := socket.Open(b.Context(), socket.Config{Endpoint: g.url("/ws"), Queue: 8})
	if err != nil {
		return err
	}
	c.sockets[i] = conn
	if _, err := conn.Connect(b.Context(), nil); err != nil {
		return err
	}
	c.asked[i] = time.Now()
	if err := conn.Emit(messaging.EventSubscribe, map[string]string{"jobId": jobID}); err != nil {
		return err
	}
	for {
		event, err := conn.Next(b.Context())
		if err != nil || event.Name == messaging.EventCaughtUp {
			return err
		}
	}
}

// evicted waits until every socket was told and disconnected, and returns by how
// much each was late, the least first. The time that the request took to arrive
// is counted in.
func (c *crowd) evicted(b *testing.B, timeout time.Duration) []time.Duration {
	b.Helper()
	late := make([]time.Duration, len(c.sockets))
	var all sync.WaitGroup
	for i, conn := range c.sockets {
		all.Go(func() { // ends with the socket
			for {
				event, err := conn.Next(b.Context())
				if err != nil {
					b.Errorf("socket %d: %v, without a word", i, err)
					return
				}
				if event.Name == messaging.EventError && strings.Contains(string(event.Text()), string(messaging.CodeIdleTimeout)) {
					break
				}
			}
			<-conn.Ended()
			late[i] = time.Since(c.asked[i]) - timeout
		})
	}
	all.Wait()
	slices.Sort(late)
	if late[0] < 0 {
		b.Errorf("a socket was evicted %s too early", -late[0])
	}
	return late
}

func (c *crowd) leave() {
	for _, conn := range c.sockets {
		if conn != nil {
			conn.Kill()
		}
	}
}
