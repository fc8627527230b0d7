package engineio

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

const (
	// coalesceBytes is how much is collected before a write is due anyway.
	coalesceBytes = 16 << 10
	// writeSteps is in how many steps WriteTimeout is measured: a stalled
	// client is noticed between one WriteTimeout and 1 + 2/writeSteps of it.
	writeSteps = 8
	// lingerTimeout is how long the client may take to close its side after
	// the close frame was sent.
	lingerTimeout = 2 * time.Second

	controlFrame = 0x8
	closeFrame   = 0x8
	opcodeMask   = 0xf
)

// errStalled ends a connection whose client accepted nothing for WriteTimeout.
var errStalled = errors.New("engineio: client accepts nothing")

// coalesceBuffers holds the buffers of all connections with something to
// write, so that an idle one needs none.
var coalesceBuffers = sync.Pool{New: func() any {
	buffer := make([]byte, 0, coalesceBytes)
	return &buffer
}}

// conn is the network connection beneath a WebSocket. It collects frames and
// writes them with one system call: at flush, at a control frame, or when
// coalesceBytes are reached. The deadlines that others set are ignored: writing
// has its own (see write), and reading ends with the heartbeat.
type conn struct {
	net.Conn
	owner        *webSocket
	metrics      *metrics
	writeTimeout time.Duration
	resumable    bool // a write that timed out may be continued: not so on TLS

	mu       sync.Mutex // guards all below, and serialises writes
	framing  bool       // the handshake is over: writes begin with a frame
	buffer   *[]byte    // nil when nothing is collected
	deadline time.Time  // the one set on Conn
	err      error      // the first failure; sticky
	finished bool       // the close frame has been written

	scan frameScanner // used by the reading goroutine, and by its worker while it waits
}

func newConn(network net.Conn, owner *webSocket, metrics *metrics, cfg Config) *conn {
	_, isTLS := network.(*tls.Conn)
	return &conn{
		Conn: network, owner: owner, metrics: metrics, writeTimeout: cfg.WriteTimeout, resumable: !isTLS,
		scan: frameScanner{mostBytes: uint64(cfg.MaxMessageBytes), payloadBytes: uint64(cfg.MaxPayloadBytes)},
	}
}

// Read implements net.Conn. It leaves out most of a message that is too large, refuses
// a client that floods with fragments or control frames, and does not read faster than
// the client may send.
func (c *conn) Read(p []byte) (int, error) {
	for {
		if c.scan.keep == 0 && c.scan.drop > 0 {
			if err := c.discard(); err != nil {
				return 0, err
			}
			continue
		}
		held := c.scan.have // bytes of a header that are passed on with its rest
		if len(p) <= held {
			return 0, io.ErrShortBuffer // the buffers of the WebSocket layer are larger than any header
		}
		n, readErr := c.read(p[held:])
		passed, err := c.scan.pass(p[:0], p[held:held+n])
		if errors.Is(err, errTooLarge) {
			c.owner.refuseSize()
		}
		if err != nil {
			return 0, err
		}
		if len(passed) > 0 || readErr != nil {
			return len(passed), readErr
		}
	}
}

// discard reads a part of what is left out.
func (c *conn) discard() error {
	buffer := coalesceBuffers.Get().(*[]byte)
	defer coalesceBuffers.Put(buffer)
	n, err := c.read((*buffer)[:min(uint64(cap(*buffer)), c.scan.drop)])
	c.scan.drop -= uint64(n)
	return err
}

// read reads from the network when the client may send.
func (c *conn) read(p []byte) (int, error) {
	c.owner.session.pace.wait(c.owner.session.Done)
	n, err := c.Conn.Read(p[:min(len(p), paceBytes)])
	c.owner.session.pace.spend(n)
	return n, err
}

// Write implements net.Conn. It collects p unless p is due at once.
func (c *conn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return 0, c.err
	}
	if !c.framing || len(p) == 0 {
		return len(p), c.write(p)
	}
	opcode := p[0] & opcodeMask
	if c.buffer != nil && len(*c.buffer)+len(p) > coalesceBytes {
		if err := c.flushBuffer(); err != nil {
			return 0, err
		}
	}
	if len(p) >= coalesceBytes {
		return len(p), c.write(p)
	}
	if c.buffer == nil {
		c.buffer = coalesceBuffers.Get().(*[]byte)
	}
	*c.buffer = append(*c.buffer, p...)
	if opcode < controlFrame {
		return len(p), nil
	}
	// A part of a large message that looks like a control frame is only
	// written earlier than need be.
	err := c.flushBuffer()
	if opcode == closeFrame && err == nil {
		c.finished = true
	}
	return len(p), err
}

// flush writes what was collected. A failure closes the connection.
func (c *conn) flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		_ = c.flushBuffer() // sticky, and the reader learns of it by the close
	}
}

// startFraming is called once between the handshake and the first frame.
func (c *conn) startFraming() {
	c.mu.Lock()
	c.framing = true
	c.mu.Unlock()
}

func (c *conn) flushBuffer() error {
	if c.buffer == nil {
		return nil
	}
	buffer := c.buffer
	err := c.write(*buffer)
	*buffer = (*buffer)[:0]
	coalesceBuffers.Put(buffer)
	c.buffer = nil
	return err
}

// write hands p to the network, however slowly the client takes it, unless it
// takes nothing for WriteTimeout. Called with mu held. How long all of it may take is
// bounded by the heartbeat for a client that sends nothing meanwhile, see
// [Session.delayed].
//
// A write on TLS that timed out cannot be continued, and does not say how much the
// client has taken. There p is written in pieces of coalesceBytes, each with a
// deadline of its own.
//
// A deadline costs a sixth of a small write, so that it is renewed only when
// a step of its time is used up.
func (c *conn) write(p []byte) error {
	now := time.Now()
	step := c.writeTimeout / writeSteps
	if !c.resumable {
		step = c.writeTimeout
	}
	progress := now
	c.metrics.writes.Inc()
	for {
		if c.deadline.Sub(now) < step {
			c.deadline = now.Add(2 * step)
			_ = c.Conn.SetWriteDeadline(c.deadline) // fails on a closed connection, as Write will
		}
		piece := p
		if !c.resumable {
			piece = p[:min(len(p), coalesceBytes)]
		}
		n, err := c.Conn.Write(piece)
		if err == nil && n == len(p) {
			return nil
		}
		p, now = p[n:], time.Now()
		if n > 0 {
			progress = now
		}
		switch {
		case err == nil:
			continue
		case !errors.Is(err, os.ErrDeadlineExceeded):
			c.err = err
		case !c.resumable || now.Sub(progress) >= c.writeTimeout:
			c.err = errStalled
		default:
			continue
		}
		_ = c.Conn.Close()
		return c.err
	}
}

// Close implements net.Conn. After a close frame only the sending side is shut,
// for the client to read to the end; a full close while its bytes still arrive
// would reset the connection and take back what it has not read yet.
func (c *conn) Close() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok && c.isFinished() {
		_ = c.Conn.SetReadDeadline(time.Now().Add(lingerTimeout))
		return half.CloseWrite()
	}
	return c.Conn.Close()
}

// isFinished does not wait for a write under way: one that is means that no
// close frame has been written.
func (c *conn) isFinished() bool {
	if !c.mu.TryLock() {
		return false
	}
	defer c.mu.Unlock()
	return c.finished
}

// closeNow closes both directions and gives the buffer back.
func (c *conn) closeNow() {
	_ = c.Conn.Close() // ends a write under way, which releases the lock
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = net.ErrClosed
	}
	if c.buffer != nil {
		*c.buffer = (*c.buffer)[:0]
		coalesceBuffers.Put(c.buffer)
		c.buffer = nil
	}
}

// SetDeadline implements net.Conn and does nothing.
func (c *conn) SetDeadline(time.Time) error { return nil }

// SetReadDeadline implements net.Conn and does nothing.
func (c *conn) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements net.Conn and does nothing.
func (c *conn) SetWriteDeadline(time.Time) error { return nil }
