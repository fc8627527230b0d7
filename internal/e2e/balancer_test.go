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
// connection goes to the next one that says it is ready. It notes when they came.
type balancer struct {
	listener net.Listener
	running  sync.WaitGroup // its goroutines, all of which end with close

	mu       sync.Mutex // guards the fields below
	next     int
	targets  []string
	accepted []time.Time
	open     map[net.Conn]struct{}
	closed   bool
}

func startBalancer(t testing.TB, gateways ...*gateway) *balancer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &balancer{listener: listener, open: map[net.Conn]struct{}{}}
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
	server := b.dial()
	if server == nil || !b.add(client, server) {
		return
	}
	defer b.remove(client, server)
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(client, server)
		_ = client.Close()
	})
	_, _ = io.Copy(server, client)
	_ = server.Close()
	back.Wait()
}

// dial tries each gateway once.
func (b *balancer) dial() net.Conn {
	b.mu.Lock()
	b.accepted = append(b.accepted, time.Now())
	b.next++
	first := b.next
	b.mu.Unlock()
	for i := range b.targets {
		target := b.targets[(first+i)%len(b.targets)]
		if !ready(target) {
			continue
		}
		if server, err := net.Dial("tcp", target); err == nil {
			return server
		}
	}
	return nil
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

func (b *balancer) add(conns ...net.Conn) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, conn := range conns {
		b.open[conn] = struct{}{}
	}
	return !b.closed
}

func (b *balancer) remove(conns ...net.Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, conn := range conns {
		delete(b.open, conn)
	}
}

// since returns when connections came, from began on.
func (b *balancer) since(began time.Time) (came []time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, at := range b.accepted {
		if !at.Before(began) {
			came = append(came, at)
		}
	}
	return came
}

func (b *balancer) close() {
	_ = b.listener.Close()
	b.mu.Lock()
	b.closed = true
	for conn := range b.open {
		_ = conn.Close()
	}
	b.mu.Unlock()
	b.running.Wait()
}
