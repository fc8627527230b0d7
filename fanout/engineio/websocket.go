package engineio

import (
	"bytes"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
	"github.com/olahol/melody"
)

// webSocket is the transport over one melody session, which represents the connection from
// the handshake to its end. The [writers] move frames from the session's queue to the
// network; melody's own writing goroutine and its channel are not used.
type webSocket struct {
	session *Session
	server  *Server
	conn    *conn
	socket  *websocket.Conn // melody's; set before the session learns of the transport
	failure atomic.Pointer[error]
	stage   atomic.Uint32

	// guarded by session.mu
	writing bool // by one of the writers, or about to be; for good after the last write
	closing bool
	own     []Frame     // written before those of the session; a pong is the first
	goodbye []byte      // the payload of the close frame that is to be written, nil for none
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

// take refuses every frame: the writers take frames from the session's queue.
func (w *webSocket) take(Frame) bool { return false }

func (w *webSocket) flush() {
	if !w.writing && w.waits() {
		w.writing = true
		w.server.running.Add(1) // until nothing waits, or the connection has ended
		w.server.writers.add(w)
	}
}

func (w *webSocket) idle() bool { return !w.writing }

func (w *webSocket) finish() {
	w.sayGoodbye(closeCode(w.session.reason))
	w.flush()
}

func (w *webSocket) abort(Frame) { w.conn.closeNow() }

// cut closes the network connection, which ends the goroutines that read and write it.
func (w *webSocket) cut() { _ = w.conn.Conn.Close() }

// serve reads the connection until it ends. It is melody's first callback for a connection;
// melody's own goroutines start after it and find the connection ended.
func (w *webSocket) serve(ms *melody.Session) {
	w.socket = ms.WebsocketConnection()
	ms.Request = nil // the handshake's, whose memory is free from here on
	w.server.workers.do(w.connected, w.cut)
	w.socket.SetReadLimit(w.server.cfg.MaxPayloadBytes)
	w.socket.SetPingHandler(w.pinged)
	for {
		data, binary, err := w.read()
		if err != nil {
			w.failed(err)
			return
		}
		note := w.conn.scan.next()
		if w.isPong(data, binary, note) {
			w.session.receive(Packet{Type: PacketPong}) // needs little stack, see workers
			continue
		}
		w.server.workers.do(func() { w.received(data, binary, note) }, w.cut)
	}
}

// isPong reports whether a message is the answer to a ping of the heartbeat, which is most of
// what idle clients send.
func (w *webSocket) isPong(data []byte, binary bool, note messageNote) bool {
	return len(data) == 1 && data[0] == byte(PacketPong) && !binary && note == (messageNote{}) && w.stage.Load() == stageActive
}

// messageBytes is the size of the buffers in which messages begin.
const messageBytes = 512

// messageBuffers has the buffers into which messages are read, so that a short one takes no
// more memory than it has bytes.
var messageBuffers = sync.Pool{New: func() any { return new([messageBytes]byte) }}

// read waits for the next message and returns it. The WebSocket layer bounds its size.
func (w *webSocket) read() (data []byte, binary bool, err error) {
	kind, message, err := w.socket.NextReader()
	if err != nil {
		return nil, false, err
	}
	buffer := messageBuffers.Get().(*[messageBytes]byte)
	defer messageBuffers.Put(buffer)
	have := 0
	for more := 0; err == nil && have < len(buffer); have += more {
		more, err = message.Read(buffer[have:])
	}
	data = bytes.Clone(buffer[:have])
	for more := 0; err == nil; data = data[:len(data)+more] {
		data = slices.Grow(data, 1)
		more, err = message.Read(data[len(data):cap(data)])
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return data, kind == websocket.BinaryMessage, err
}

// pinged schedules the answer to a ping of the WebSocket layer, between two whole frames.
// It does not wait for a frame that is being written, because the client's next frames
// could not be read meanwhile. Only the latest ping is answered, as RFC 6455 allows in
// section 5.5.3, so that at most one pong waits.
func (w *webSocket) pinged(payload string) error {
	pong := Frame{Data: []byte(payload), pong: true}
	w.session.mu.Lock()
	defer w.session.mu.Unlock()
	if len(w.own) > 0 && w.own[0].pong {
		w.own[0] = pong
	} else {
		w.own = slices.Insert(w.own, 0, pong)
	}
	w.flush()
	return nil
}

// received is called while the goroutine that reads the connection waits.
func (w *webSocket) received(data []byte, binary bool, note messageNote) {
	stage := w.stage.Load()
	if stage == stageRefused {
		return
	}
	if note.deflated {
		var err error
		if data, note, err = w.inflated(data, note); err != nil {
			w.failed(err)
			w.refuse(closeCodeOf(err))
			return
		}
	}
	switch stage {
	case stageActive:
		if note.cut && !binary {
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
		packet.cutFrom = int(note.size)
		w.session.receive(packet)
	default:
		w.probe(data, binary)
	}
}

// refuseSize tells the client that its message is larger than a payload, as the WebSocket
// layer does if it counts the size itself. It is called while that layer reads.
func (w *webSocket) refuseSize() {
	text := websocket.FormatCloseMessage(websocket.CloseMessageTooBig, "")
	_ = w.socket.WriteControl(websocket.CloseMessage, text, time.Now().Add(w.server.cfg.WriteTimeout))
}

// failed records why the connection ends; the first reason is kept. conn calls it during a
// write, so it must not lock, write or close.
func (w *webSocket) failed(err error) {
	if errors.Is(err, melody.ErrMessageBufferFull) {
		w.server.metrics.dropped.Inc()
		return
	}
	w.failure.CompareAndSwap(nil, &err)
}

// gone is called when the connection has ended, for any reason.
func (w *webSocket) gone() {
	w.conn.closeNow()
	s := w.session
	s.endUnstarted()
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
