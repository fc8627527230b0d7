package e2e_test

import (
	"io"
	"net"
	"sync"
	"testing"
)

// proxy is the network between one client and a gateway: TCP connections that
// the test can break. A client keeps its URL while it is moved to another
// gateway behind it.
type proxy struct {
	t        testing.TB
	listener net.Listener
	running  sync.WaitGroup // its goroutines, all of which end with close

	mu     sync.Mutex // guards the fields below
	target string     // host:port; empty while the network is down
	muted  bool
	links  map[*link]struct{}
	closed bool
}

// link is one connection of the client, and the one to the gateway behind it.
type link struct {
	client, server *net.TCPConn
	// stranded is set once the client's side is closed and the gateway's is
	// left open; guarded by the proxy's mutex.
	stranded bool
}

// startProxy listens on a free port and lets the client through to a gateway.
func startProxy(t testing.TB, g *gateway) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{t: t, listener: listener, target: g.address(), links: map[*link]struct{}{}}
	p.running.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

func (p *proxy) url() string { return "http://" + p.listener.Addr().String() + "/" }

// accept takes connections until the listener is closed.
func (p *proxy) accept() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		client := conn.(*net.TCPConn)
		p.mu.Lock()
		target := p.target
		p.mu.Unlock()
		if target == "" {
			reset(client)
			continue
		}
		server, err := net.Dial("tcp", target)
		if err != nil { // the gateway is down
			reset(client)
			continue
		}
		p.join(&link{client: client, server: server.(*net.TCPConn)}, target)
	}
}

// join copies in both directions, unless the network has changed meanwhile.
func (p *proxy) join(l *link, target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.target != target {
		reset(l.client)
		reset(l.server)
		return
	}
	p.links[l] = struct{}{}
	p.running.Go(func() {
		_, _ = io.Copy(l.server, l.client)
		p.leave(l)
	})
	p.running.Go(func() {
		_, _ = io.Copy(answers{p, l}, l.server)
		p.drop(l)
	})
}

// answers is the way from the gateway to the client.
type answers struct {
	proxy *proxy
	link  *link
}

func (a answers) Write(data []byte) (int, error) {
	a.proxy.mu.Lock()
	lost := a.proxy.muted || a.link.stranded
	a.proxy.mu.Unlock()
	if lost {
		return len(data), nil
	}
	return a.link.client.Write(data)
}

// leave ends a link that the client has left, unless the gateway is not to know.
func (p *proxy) leave(l *link) {
	p.mu.Lock()
	stranded := l.stranded
	p.mu.Unlock()
	if !stranded {
		p.drop(l)
	}
}

// drop ends a link. Repeated, it does nothing.
func (p *proxy) drop(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end(l)
}

// end closes both sides of a link. The mutex is held.
func (p *proxy) end(l *link) {
	delete(p.links, l)
	reset(l.client)
	reset(l.server)
}

// down takes the network away: every connection breaks with whatever is on its
// way, without a close frame, and new ones are refused.
func (p *proxy) down() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target, p.muted = "", false
	for l := range p.links {
		p.end(l)
	}
}

// strand takes the network away for the client alone: the gateway's side of each
// connection stays open, and nothing comes of what it writes there.
func (p *proxy) strand() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target, p.muted = "", false
	for l := range p.links {
		l.stranded = true
		reset(l.client)
	}
}

// release ends the connections that the gateway holds for nobody.
func (p *proxy) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		if l.stranded {
			p.end(l)
		}
	}
}

// mute loses what the gateway answers from now on, until the network is down.
func (p *proxy) mute() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.muted = true
}

// up brings the network back, with a gateway behind it.
func (p *proxy) up(g *gateway) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = g.address()
}

// close ends everything. The client's reconnection attempts fail from here on.
func (p *proxy) close() {
	_ = p.listener.Close()
	p.mu.Lock()
	p.closed = true
	for l := range p.links {
		p.end(l)
	}
	p.mu.Unlock()
	p.running.Wait()
}

// reset closes a connection without a goodbye and without what is queued on it.
func reset(conn *net.TCPConn) {
	_ = conn.SetLinger(0)
	_ = conn.Close()
}
