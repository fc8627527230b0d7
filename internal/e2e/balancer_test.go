package e2e_test

import (
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// balancer is a load balancer for TCP in front of several gateways: a new
// connection goes to the next one that says it is ready. It notes when they ended.
type balancer struct {
	listener net.Listener
	running  sync.WaitGroup // its goroutines, all of which end with close

	mu      sync.Mutex // guards the fields below
	next    int
	targets []string
	open    map[*passage]struct{}
	ended   []*passage // in that order
	closed  bool
}

// passage is one connection through a balancer.
type passage struct {
	client, server net.Conn
	target         string
	began, ended   time.Time
}

func startBalancer(t testing.TB, gateways ...*gateway) *balancer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &balancer{listener: listener, open: map[*passage]struct{}{}}
	for _, g := range gateways {
		b.targets = append(b.targets, g.address())
	}
	b.running.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			b.running.Go(func() { b.serve(client) })
		}
	})
	t.Cleanup(b.close)
	return b
}

func (b *balancer) url() string { return "http://" + b.listener.Addr().String() + "/" }

// serve copies both ways until either side ends.
func (b *balancer) serve(client net.Conn) {
	defer client.Close()
	server, target := b.dial()
	if server == nil {
		return
	}
	defer server.Close()
	p := &passage{client: client, server: server, target: target, began: time.Now()}
	if !b.add(p) {
		return
	}
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(client, server)
		b.end(p)
		_ = client.Close()
	})
	_, _ = io.Copy(server, client)
	_ = server.Close()
	back.Wait()
}

// dial tries each gateway once.
func (b *balancer) dial() (net.Conn, string) {
	b.mu.Lock()
	b.next++
	first := b.next
	b.mu.Unlock()
	for i := range b.targets {
		target := b.targets[(first+i)%len(b.targets)]
		if !ready(target) {
			continue
		}
		if server, err := net.Dial("tcp", target); err == nil {
			return server, target
		}
	}
	return nil, ""
}

// ready asks a gateway for its health, as load balancers do.
func ready(target string) bool {
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get("http://" + target + "/health/ready")
	if err != nil {
		return false
	}
	_ = response.Body.Close()
	return response.StatusCode == http.StatusOK
}

func (b *balancer) add(p *passage) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.open[p] = struct{}{}
	return true
}

func (b *balancer) end(p *passage) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.open, p)
	p.ended = time.Now()
	b.ended = append(b.ended, p)
}

// connections returns how many are open.
func (b *balancer) connections() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.open)
}

// letGo returns when those connections to a gateway ended that it had at a time, and how
// many it has of them still.
func (b *balancer) letGo(g *gateway, at time.Time) (ends []time.Time, kept int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.ended {
		if p.target == g.address() && p.began.Before(at) && p.ended.After(at) {
			ends = append(ends, p.ended)
		}
	}
	for p := range b.open {
		if p.target == g.address() && p.began.Before(at) {
			kept++
		}
	}
	return ends, kept
}

func (b *balancer) close() {
	_ = b.listener.Close()
	b.mu.Lock()
	b.closed = true
	for p := range b.open {
		_, _ = p.client.Close(), p.server.Close()
	}
	b.mu.Unlock()
	b.running.Wait()
}
