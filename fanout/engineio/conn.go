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
	// coalesceBytes is the approximate size of a write. A frame of at least that size is
	// written by itself.
	coalesceBytes = 16 << 10
	// writeSteps is the number of steps in which WriteTimeout is measured: a stalled
	// client is detected after 1 to 1 + 2/writeSteps times WriteTimeout.
	writeSteps = 8
	// lingerTimeout is how long the client may take to close its side after
	// the close frame was sent to it.
	lingerTimeout = 2 * time.Second

	continuationFrame = 0x0
	controlFrame      = 0x8
	closeFrame        = 0x8
	opcodeMask        = 0xf
	deflatedBit       = 0x40 // RSV1, see RFC 7692, section 6
)

// errStalled ends a connection whose client accepted nothing for WriteTimeout.
var errStalled = errors.New("engineio: client accepts nothing")

// coalesceBuffers has the buffers for connections that are being written to, so that an idle
// connection needs no buffer.
var coalesceBuffers = sync.Pool{New: func() any {
	buffer := make([]byte, 0, coalesceBytes)
	return &buffer
}}

// conn is the network connection of a WebSocket. It writes several frames in one system
// call. It ignores the deadlines that the WebSocket layer sets: writes have their own
// deadlines (see write), and the heartbeat ends reads.
type conn struct {
	net.Conn
	raw          syscall.RawConn // nil if a write cannot be attempted without waiting
	owner        *webSocket
	metrics      *metrics
	writeTimeout time.Duration
	resumable    bool // a write that timed out may be continued; false for TLS

	mu       sync.Mutex // guards all below, and serialises writes
	framing  bool       // the handshake has ended, and every write begins with a frame
	buffer   *[]byte    // nil when nothing is collected
	deadline time.Time  // the write deadline of Conn
	err      error      // the first failure; later writes return it

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

// Read implements net.Conn. It omits most of a message that is too large, fails if a client
// sends too many fragments or control frames, and reads no faster than the client may send.
func (c *conn) Read(p []byte) (int, error) {
	for {
		if c.scan.keep == 0 && c.scan.drop > 0 {
			if err := c.discard(); err != nil {
				return 0, err
			}
			continue
		}
		held := c.scan.have // bytes of an incomplete header, which are returned with the rest of it
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

// discard reads and drops a part of the omitted bytes.
func (c *conn) discard() error {
	buffer := coalesceBuffers.Get().(*[]byte)
	defer coalesceBuffers.Put(buffer)
	n, err := c.read((*buffer)[:min(uint64(cap(*buffer)), c.scan.drop)])
	c.scan.drop -= uint64(n)
	return err
}

// read waits until the client may send, and reads from the network.
func (c *conn) read(p []byte) (int, error) {
	c.owner.session.pace.wait(c.owner.session.Done)
	n, err := c.Conn.Read(p[:min(len(p), paceBytes)])
	c.owner.session.pace.spend(n)
	return n, err
}

// Write implements net.Conn. After the handshake it is called only for close frames: those
// of the WebSocket layer, and the one of writeClose.
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

// writable returns nil, or the reason why nothing can be written: the first failure, or
// [websocket.ErrCloseSent] after the close frame. The caller holds mu.
func (c *conn) writable() error {
	if c.err == nil && c.finished.Load() {
		return websocket.ErrCloseSent
	}
	return c.err
}

// tryFrames writes as much of the frames as the network accepts without waiting. If done is
// false and err is nil, another goroutine has to write the rest: by flush if collected is
// true, and otherwise all of the frames by writeFrames.
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
	if !c.deadline.IsZero() { // write set it, and it may have passed
		c.deadline = time.Time{}
		_ = c.Conn.SetWriteDeadline(c.deadline) // fails only on a closed connection, and then the write fails too
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

// writeFrames writes frames, and waits until the network has accepted them.
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

// flush writes the collected bytes, and waits until the network has accepted them.
func (c *conn) flush() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.flushBuffer()
}

// collect appends bytes to the buffer for the next write. The caller holds mu.
func (c *conn) collect(p []byte) {
	if c.buffer == nil {
		c.buffer = coalesceBuffers.Get().(*[]byte)
	}
	*c.buffer = append(*c.buffer, p...)
}

// collectHeader appends the header of a frame to the buffer. The caller holds mu.
func (c *conn) collectHeader(frame Frame) {
	opcode := byte(websocket.TextMessage)
	switch {
	case frame.pong:
		opcode = websocket.PongMessage
	case frame.Binary:
		opcode = websocket.BinaryMessage
	case frame.deflated:
		opcode |= deflatedBit
	}
	c.collect(nil)
	*c.buffer = appendHeader(*c.buffer, opcode, len(frame.Data))
}

// writeClose writes a close frame with a payload. It is the last frame of a connection.
func (c *conn) writeClose(payload []byte) error {
	_, err := c.Write(append(appendHeader(nil, closeFrame, len(payload)), payload...))
	return err
}

// giveBack returns the buffer to coalesceBuffers, unless it has become too large. The caller
// holds mu.
func (c *conn) giveBack() {
	if cap(*c.buffer) <= 2*coalesceBytes {
		*c.buffer = (*c.buffer)[:0]
		coalesceBuffers.Put(c.buffer)
	}
	c.buffer = nil
}

// isLarge reports whether a frame is written by itself and not copied.
func isLarge(frame Frame) bool { return len(frame.Data) >= coalesceBytes }

// startFraming is called once, after the handshake and before the first frame.
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

// fail records the first failure, and closes the connection. The caller holds mu.
func (c *conn) fail(err error) {
	c.err = err
	c.owner.failed(err) // before the reader finds the connection closed
	_ = c.Conn.Close()
}

// write writes p to the network. It continues however slowly the client accepts p, and fails
// if the client accepts nothing for WriteTimeout. The heartbeat bounds the whole time for a
// client that sends nothing meanwhile, see [Session.delayed]. The caller holds mu.
//
// A TLS write that timed out cannot be continued, and does not report how much the client
// has accepted. On TLS, p is therefore written in pieces of coalesceBytes, each with its own
// deadline.
//
// Setting a deadline costs a sixth of a small write. write therefore renews the deadline only
// when less than one step of it is left.
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
			_ = c.Conn.SetWriteDeadline(c.deadline) // fails only on a closed connection, and then Write fails too
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

// Close implements net.Conn. After a close frame it shuts only the sending side, so that the
// client can read all frames: closing both sides while the client still sends would reset the
// connection, and the client would lose the frames that it has not read yet.
func (c *conn) Close() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok && c.finished.Load() {
		_ = c.Conn.SetReadDeadline(time.Now().Add(lingerTimeout))
		return half.CloseWrite()
	}
	return c.Conn.Close()
}

// closeNow closes both directions, and returns the buffer to coalesceBuffers.
func (c *conn) closeNow() {
	_ = c.Conn.Close() // ends a write in progress, which releases the lock
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
