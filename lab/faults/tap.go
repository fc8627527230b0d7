package faults

import (
	"context"
	"net"
	"sync"
)

// segmentBytes is the largest segment of a tapped connection, as on Ethernet. The gateway's
// kernel sizes its send buffer by it, at some 80 KB; with the segments of loopback the
// buffer has 2.6 MB, in which a client that reads nothing would not be detected for long.
const segmentBytes = 1460

// receiveBytes is the receive buffer of a tapped connection.
const receiveBytes = 4096

// tap stops reading from its connections, before the kernel: the bytes that arrive
// meanwhile stay in the kernel's buffers, and then in the gateway.
type tap struct {
	mu    sync.Mutex    // guards flows
	flows chan struct{} // closed while reading goes on
}

// newTap returns an open tap.
func newTap() *tap {
	t := &tap{}
	t.shut()
	t.open()
	return t
}

// shut stops reading. A read that waits in the kernel still returns the next bytes.
func (t *tap) shut() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.flows = make(chan struct{})
}

// open resumes reading.
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
