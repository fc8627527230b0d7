package processes

import (
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Proxy is the network between the gateways and one server. It forwards TCP connections,
// can delay or drop answers, and can break the connections. Its methods may be called
// concurrently.
//
// Each connection has two goroutines, which end with it; [Proxy.Close] ends all.
type Proxy struct {
	target   string
	listener net.Listener
	running  sync.WaitGroup
	delay    atomic.Int64 // of answers, in nanoseconds
	mute     atomic.Bool

	mu     sync.Mutex // guards the fields below
	links  map[net.Conn]net.Conn
	closed bool
}

// NewProxy listens on a free loopback port and forwards to the address.
func NewProxy(target string) (*Proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("proxy to %s: %w", target, err)
	}
	p := &Proxy{target: target, listener: listener, links: map[net.Conn]net.Conn{}}
	p.running.Go(p.accept) // ends with the listener
	return p, nil
}

// Addr returns the address on which it listens.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Delay delays each piece of an answer from now on.
func (p *Proxy) Delay(d time.Duration) { p.delay.Store(int64(d)) }

// Mute drops the answers from now on: the server receives and executes requests, and its
// client receives no answer.
func (p *Proxy) Mute(mute bool) { p.mute.Store(mute) }

// Break closes every connection. It accepts new ones.
func (p *Proxy) Break() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for client, server := range p.links {
		_ = client.Close()
		_ = server.Close()
	}
}

// Close closes the listener and all connections.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	_ = p.listener.Close()
	p.Break()
	p.running.Wait()
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.target)
		if err != nil { // it is down
			_ = client.Close()
			continue
		}
		p.join(client, server)
	}
}

func (p *Proxy) join(client, server net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		_ = client.Close()
		_ = server.Close()
		return
	}
	p.links[client] = server
	p.running.Go(func() {
		_, _ = io.Copy(server, client)
		_ = server.Close()
	})
	p.running.Go(func() {
		p.answer(client, server)
		_ = client.Close()
		_ = server.Close()
		p.mu.Lock()
		delete(p.links, client)
		p.mu.Unlock()
	})
}

// answer forwards the answers of the server.
func (p *Proxy) answer(client, server net.Conn) {
	piece := make([]byte, 64<<10)
	for {
		n, err := server.Read(piece)
		if err != nil {
			return
		}
		if p.mute.Load() {
			continue
		}
		time.Sleep(time.Duration(p.delay.Load()))
		if _, err := client.Write(piece[:n]); err != nil {
			return
		}
	}
}
