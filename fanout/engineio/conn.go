package engineio

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gorilla/websocket"
)

const (
	// coalesceBytes is about how much is written at once. A frame of that size is
	// written by itself.
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

// conn is the network connection beneath a WebSocket. Frames that are written together
// take one system call. The deadlines that others set are ignored: writing
// has its own (see write), and reading ends with the heartbeat.
type conn struct {
	net.Conn
	raw          syscall.RawConn // nil where a write cannot be attempted without waiting
	owner        *webSocket
	metrics      *metrics
	writeTimeout time.Duration
	resumable    bool // a write that timed out may be continued: not so on TLS

	mu       sync.Mutex // guards all below, and serialises writes
	framing  bool       // the handshake is over: writes begin with a frame
	buffer   *[]byte    // nil when nothing is collected
	deadline time.Time  // the one set on Conn
	err      error      // the first failure; sticky

	finished atomic.Bool // the close frame has been written; set with mu held

	scan frameScanner // used by the reading goroutine, and by its worker while it waits
}

func newConn(network net.Conn, owner *webSocket, metrics *metrics, cfg Config) *conn {
	_, isTLS := network.(*tls.Conn)
	return &conn{
		Conn: network, raw: rawOf(network), owner: owner, metrics: metrics, writeTimeout: cfg.WriteTimeout, resumable: !isTLS,
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

// Write implements net.Conn. After the handshake it is called for close frames alone: those
// of the WebSocket layer, and that of writeClose.
func (c *conn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.writable(); err != nil {
		return 0, err
	}
	if !c.framing || len(p) == 0 {
		return len(p), c.write(p)
	}
	c.collect(p)
	err := c.flushBuffer()
	if p[0]&opcodeMask == closeFrame && err == nil {
		c.finished.Store(true)
	}
	return len(p), err
}

// writable returns why nothing more can be written: the first failure, or
// [websocket.ErrCloseSent] after the close frame. Called with mu held.
func (c *conn) writable() error {
	if c.err == nil && c.finished.Load() {
		return websocket.ErrCloseSent
	}
	return c.err
}

// tryFrames writes frames as far as the network takes them without waiting. Without done,
// the rest is for another goroutine to write: collected says whether by flush, or else by
// writeFrames, nothing having been done.
func (c *conn) tryFrames(frames []Frame, a *attempt) (done, collected bool, err error) {
	if c.raw == nil || !c.mu.TryLock() {
		return false, false, nil
	}
	defer c.mu.Unlock()
	if err := c.writable(); err != nil {
		return false, false, err
	}
	if c.buffer != nil || slices.ContainsFunc(frames, isLarge) {
		return false, false, nil
	}
	if !c.deadline.IsZero() { // one of write, that may be over
		c.deadline = time.Time{}
		_ = c.Conn.SetWriteDeadline(c.deadline) // fails on a closed connection, as the attempt will
	}
	for _, frame := range frames {
		c.collectHeader(frame)
		c.collect(frame.Data)
	}
	c.metrics.writes.Inc()
	n, err := a.write(c.raw, *c.buffer)
	if err != nil {
		c.fail(err)
		return false, false, err
	}
	if n < len(*c.buffer) {
		*c.buffer = append((*c.buffer)[:0], (*c.buffer)[n:]...)
		return false, true, nil
	}
	c.giveBack()
	return true, true, nil
}

// writeFrames writes frames, and waits until the network has taken them.
func (c *conn) writeFrames(frames []Frame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.writable(); err != nil {
		return err
	}
	for _, frame := range frames {
		c.collectHeader(frame)
		if !isLarge(frame) {
			c.collect(frame.Data)
			continue
		}
		if err := c.flushBuffer(); err != nil {
			return err
		}
		if err := c.write(frame.Data); err != nil {
			return err
		}
	}
	return c.flushBuffer()
}

// flush writes what was collected, and waits until the network has taken it.
func (c *conn) flush() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.flushBuffer()
}

// collect adds bytes to what is written next. Called with mu held.
func (c *conn) collect(p []byte) {
	if c.buffer == nil {
		c.buffer = coalesceBuffers.Get().(*[]byte)
	}
	*c.buffer = append(*c.buffer, p...)
}

// collectHeader collects the header of a frame. Called with mu held.
func (c *conn) collectHeader(frame Frame) {
	opcode := byte(websocket.TextMessage)
	switch {
	case frame.pong:
		opcode = websocket.PongMessage
	case frame.Binary:
		opcode = websocket.BinaryMessage
	}
	c.collect(nil)
	*c.buffer = appendHeader(*c.buffer, opcode, len(frame.Data))
}

// writeClose writes a close frame with this payload, the last frame of a connection.
func (c *conn) writeClose(payload []byte) error {
	_, err := c.Write(append(appendHeader(nil, closeFrame, len(payload)), payload...))
	return err
}

// giveBack returns the empty buffer to those of all connections. Called with mu held.
func (c *conn) giveBack() {
	if cap(*c.buffer) <= 2*coalesceBytes {
		*c.buffer = (*c.buffer)[:0]
		coalesceBuffers.Put(c.buffer)
	}
	c.buffer = nil
}

// isLarge reports whether a frame is written by itself, without being copied.
func isLarge(frame Frame) bool { return len(frame.Data) >= coalesceBytes }

// startFraming is called once between the handshake and the first frame.
func (c *conn) startFraming() {
	c.mu.Lock()
	c.framing = true
	c.mu.Unlock()
}

func (c *conn) flushBuffer() error {
	if c.err != nil || c.buffer == nil {
		return c.err
	}
	err := c.write(*c.buffer)
	c.giveBack()
	return err
}

// fail notes why nothing more can be written, and closes the connection. Called with mu held.
func (c *conn) fail(err error) {
	c.err = err
	c.owner.failed(err) // before the reader finds the connection closed
	_ = c.Conn.Close()
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
			c.fail(err)
		case !c.resumable || now.Sub(progress) >= c.writeTimeout:
			c.fail(errStalled)
		default:
			continue
		}
		return c.err
	}
}

// Close implements net.Conn. After a close frame only the sending side is shut,
// for the client to read to the end; a full close while its bytes still arrive
// would reset the connection and take back what it has not read yet.
func (c *conn) Close() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok && c.finished.Load() {
		_ = c.Conn.SetReadDeadline(time.Now().Add(lingerTimeout))
		return half.CloseWrite()
	}
	return c.Conn.Close()
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
		c.giveBack()
	}
}

// SetDeadline implements net.Conn and does nothing.
func (c *conn) SetDeadline(time.Time) error { return nil }

// SetReadDeadline implements net.Conn and does nothing.
func (c *conn) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements net.Conn and does nothing.
func (c *conn) SetWriteDeadline(time.Time) error { return nil }
