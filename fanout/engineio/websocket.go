package engineio

import (
	"errors"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
	"github.com/olahol/melody"
)

const (
	// melodyBuffer is the size of a melody session's channel. melody drops
	// what does not fit and says nothing, so never more than window frames are
	// in it, and one place stays free for the close frame.
	melodyBuffer = 8
	window       = melodyBuffer - 1
)

// webSocket is the transport over one melody session.
//
// Frames go: session's queue → at most window of them in melody's channel →
// conn, which collects → the network. melody's writing goroutine reports each
// frame it has handed to conn (sent), which moves the next ones up; when there
// is no next one, conn writes.
type webSocket struct {
	session *Session
	server  *Server
	conn    *conn
	melody  *melody.Session // set before the session learns of the transport
	failure atomic.Pointer[error]
	stage   atomic.Uint32

	// guarded by session.mu
	inflight int
	// offered has a bit for each frame in flight, the oldest one lowest.
	offered uint8
	closing bool
	expiry  *time.Timer // of a probe, nil without one
}

// The stages of a WebSocket.
const (
	stageActive  uint32 = iota // carries the session
	stageProbing               // no packet yet of an upgrade
	stageProbed                // the probe was answered
	stageRefused               // is being closed
)

func (w *webSocket) name() string { return transportWebSocket }

func (w *webSocket) take(frame Frame) bool {
	if w.inflight >= window || w.closing {
		return false
	}
	if frame.offered {
		w.offered |= 1 << w.inflight
	}
	w.inflight++
	// An error means that melody has closed: its disconnect callback ends the
	// session, and nothing is lost that could still be sent.
	if frame.Binary {
		_ = w.melody.WriteBinary(frame.Data)
	} else {
		_ = w.melody.Write(frame.Data)
	}
	return true
}

func (w *webSocket) flush() {}

func (w *webSocket) idle() bool { return w.inflight == 0 }

func (w *webSocket) finish() {
	if w.closing {
		return
	}
	w.closing = true
	code, text := closeCode(w.session.reason)
	// The channel is empty, so melody cannot drop it.
	_ = w.melody.CloseWithMsg(melody.FormatCloseMessage(code, text))
}

func (w *webSocket) abort(Frame) { w.conn.closeNow() }

// cut closes the network connection, which ends the goroutines that read and write it.
func (w *webSocket) cut() { _ = w.conn.Conn.Close() }

// sent runs on melody's writing goroutine after each frame.
func (w *webSocket) sent(data []byte) {
	defer w.server.guard.Recover("WebSocket writer", w.cut)
	w.server.metrics.sent.Inc()
	waiting, last := w.account(data)
	if last {
		w.conn.flush()
	}
	if waiting != nil {
		waiting.Room()
	}
}

// account notes that a frame was sent, and moves the next ones up. It returns whom to
// tell that there is room again, or nil, and whether no frame is left.
func (w *webSocket) account(data []byte) (waiting Receiver, last bool) {
	s := w.session
	s.mu.Lock()
	defer s.mu.Unlock()
	w.inflight--
	frame := Frame{Data: data, offered: w.offered&1 != 0}
	w.offered >>= 1
	s.moved(frame)
	waiting = s.sent(costBytes(frame), controlCostBytes(frame))
	if s.state != stateClosed && s.transport == w {
		s.refill()
	}
	return waiting, w.inflight == 0
}

// received runs while the goroutine that reads the connection waits.
func (w *webSocket) received(data []byte, binary bool) {
	size, cut := w.conn.scan.next()
	switch w.stage.Load() {
	case stageRefused:
	case stageActive:
		if cut && !binary {
			data = wholeRunes(data)
		}
		packet, err := Packet{Type: PacketMessage, Data: data, Binary: true}, error(nil)
		if !binary {
			packet, err = ParsePacket(data)
		}
		if err != nil {
			w.session.Close(ReasonParseError)
			return
		}
		packet.cutFrom = int(size)
		w.session.receive(packet)
	default:
		w.probe(data, binary)
	}
}

// refuseSize tells the client that its message is larger than a payload, as the
// WebSocket layer does where it counts the size itself. Called while that layer reads.
func (w *webSocket) refuseSize() {
	text := websocket.FormatCloseMessage(websocket.CloseMessageTooBig, "")
	_ = w.melody.WebsocketConnection().WriteControl(websocket.CloseMessage, text, time.Now().Add(w.server.cfg.WriteTimeout))
}

// failed notes why the connection ends. melody calls it from inside its own
// writes as well, so it must neither lock nor write nor close.
func (w *webSocket) failed(err error) {
	if errors.Is(err, melody.ErrMessageBufferFull) {
		w.server.metrics.dropped.Inc()
		return
	}
	w.failure.CompareAndSwap(nil, &err)
}

// gone runs when the connection has ended, however it did.
func (w *webSocket) gone() {
	w.conn.closeNow()
	s := w.session
	s.mu.Lock()
	w.giveUp()
	current := s.transport == w
	s.mu.Unlock()
	if current {
		s.abort(w.reason(), frameClose)
	}
}

func (w *webSocket) reason() string {
	failure := w.failure.Load()
	if failure == nil {
		return ReasonTransportClose
	}
	var closed *websocket.CloseError
	if errors.As(*failure, &closed) || errors.Is(*failure, io.EOF) || errors.Is(*failure, net.ErrClosed) {
		return ReasonTransportClose
	}
	return ReasonTransportError
}

// closeCode is the WebSocket close code (RFC 6455, section 7.4.1) for a reason.
func closeCode(reason string) (code int, text string) {
	switch reason {
	case ReasonShutdown:
		return melody.CloseGoingAway, reason
	case ReasonParseError, ReasonTransportError:
		return melody.CloseProtocolError, reason
	default:
		return melody.CloseNormalClosure, ""
	}
}
