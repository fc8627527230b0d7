package faults

import (
	"context"
	"net"
	"sync"
)

// segmentBytes is the largest segment that a tapped connection takes, as on
// Ethernet. The kernel of the gateway sizes its send buffer by it: some 80 KB, and
// with the segments of loopback 2.6 MB, in which a client that reads nothing would
// go unnoticed for long.
const segmentBytes = 1460

// receiveBytes is the receive buffer of a tapped connection.
const receiveBytes = 4096

// tap stops the reading of connections that it has dialled, in front of the kernel:
// what comes meanwhile stays in its buffers, and then in the gateway.
type tap struct {
	mu    sync.Mutex    // guards flows
	flows chan struct{} // closed while reading goes on
}

// newTap returns an open one.
func newTap() *tap {
	t := &tap{}
	t.shut()
	t.open()
	return t
}

// shut stops the reading. A read that waits in the kernel still gets what comes
// first.
func (t *tap) shut() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.flows = make(chan struct{})
}

// open lets it go on.
func (t *tap) open() {
	t.mu.Lock()
	defer t.mu.Unlock()
	close(t.flows)
}

// dial opens a connection whose buffers are small.
func (t *tap) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{KeepAlive: -1, Control: smallBuffers}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &tapped{Conn: conn, tap: t, closed: make(chan struct{})}, nil
}

// tapped is a connection behind a tap.
type tapped struct {
	net.Conn
	tap    *tap
	once   sync.Once
	closed chan struct{}
}

// Read implements net.Conn.
func (c *tapped) Read(p []byte) (int, error) {
	c.tap.mu.Lock()
	flows := c.tap.flows
	c.tap.mu.Unlock()
	select {
	case <-flows:
		return c.Conn.Read(p)
	case <-c.closed:
		return 0, net.ErrClosed
	}
}

// Close implements net.Conn.
func (c *tapped) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}
