package engineio

import (
	"errors"
	"net/http"
	"sync"
	"time"
)

var (
	// ErrClosed is returned for a session that is closed or closing. A retry does not help.
	ErrClosed = errors.New("engineio: session closed")
	// ErrQueueFull is returned by [Session.Send] if the session was closed because too many
	// control frames wait for the client. Offered frames do not count. A retry does not
	// help.
	ErrQueueFull = errors.New("engineio: control frames past their limit")
)

// hardLimitFactor times QueueBytes bounds the control frames, those of [Session.Send]. They
// are counted separately: one offered frame may exceed any budget, and later control frames
// must not close the session of a client that is only slow, which would reconnect and
// receive the same frame again.
const hardLimitFactor = 2

// Receiver is the owner of one session. Message and Close are called one at a time, Close
// last and exactly once. Neither is called on a goroutine that is inside a method of the
// session.
type Receiver interface {
	// Message is called for each message in the order of sending. It may keep data. The
	// client is not read while Message runs.
	Message(data []byte, binary bool)
	// Room is called when the queue has fallen below half of QueueBytes after a refused
	// [Session.Offer]. It may run concurrently with the other methods and must not block.
	Room()
	// Close is called when the session has ended, with one of the reasons of this package or
	// the reason given to [Session.Close].
	Close(reason string)
}

// OversizeReceiver is a [Receiver] that answers messages of more than
// [Config.MaxMessageBytes]. For other receivers such a message ends the session.
type OversizeReceiver interface {
	Receiver
	// Oversize is called instead of Message with about the first 1024 bytes of a message and
	// its approximate size.
	Oversize(head []byte, sizeBytes int, binary bool)
}

type sessionState uint8

const (
	stateOpen sessionState = iota
	// stateClosing: no more frames are accepted, and the rest of the queue is being sent.
	stateClosing
	stateClosed
)

// Session is one Engine.IO session. It and its queue persist through an upgrade from
// polling to WebSocket. All methods may be called concurrently.
type Session struct {
	id     string
	opened time.Time
	kept   keptRequest
	server *Server
	pace   pace
	turn   turn

	mu        sync.Mutex // guards all below; never held while a callback runs
	state     sessionState
	done      chan struct{} // nil until Done is called
	reason    string
	receiver  Receiver // nil while it is being made
	queue     queue
	refused   bool // an Offer was refused since Room was last called
	transport transport
	upgrade   *webSocket // the WebSocket that is probing, if any
	pulse     heartbeat
	timer     *time.Timer // fires beat; never nil after start
}

// ID returns the session's id, a secret shared with the client.
func (s *Session) ID() string { return s.id }

// Opened returns when the handshake opened the session.
func (s *Session) Opened() time.Time { return s.opened }

// Request returns the kept part of the handshake request: method, URL, host, remote address
// and the headers of [Config.KeepHeaders]. It has no body and a background context. Each
// call creates a new request.
func (s *Session) Request() *http.Request { return s.kept.request() }

// Header returns the first value of one of [Config.KeepHeaders] in the handshake
// request, or "".
func (s *Session) Header(name string) string { return s.kept.get(name) }

// Transport returns "polling" or "websocket".
func (s *Session) Transport() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.transport.name()
}

// Deflates reports whether frames of [DeflateEnd] may be sent to the client. Once it is true
// it remains so.
func (s *Session) Deflates() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	socket, ok := s.transport.(*webSocket)
	return ok && socket.conn.scan.deflates
}

// Done returns a channel that is closed when the session has ended.
func (s *Session) Done() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done == nil {
		s.done = make(chan struct{})
		if s.state == stateClosed {
			close(s.done)
		}
	}
	return s.done
}

// QueuedBytes returns the number of unsent bytes.
func (s *Session) QueuedBytes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queue.unsentBytes
}

// QueuedFrames returns the number of frames that no transport has taken yet.
func (s *Session) QueuedFrames() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queue.length()
}

// Charge counts something that the client requested as bytes of its messages; see
// [Config.NewIntake].
func (s *Session) Charge(bytes int) { s.pace.spend(bytes) }

// Open reports whether the session accepts frames.
func (s *Session) Open() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state == stateOpen
}

// Offer queues a frame unless QueueBytes are already waiting; then it queues nothing and
// returns false, and [Receiver.Room] is called later. It also returns false after the
// session was closed.
func (s *Session) Offer(frame Frame) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != stateOpen {
		return false
	}
	if s.queue.unsentBytes >= s.server.cfg.QueueBytes {
		s.refused = true
		s.server.metrics.refused.Inc()
		return false
	}
	s.enqueue(frame.Offered())
	s.transport.flush()
	return true
}

// Send queues control frames, which must not be refused, together and in order. The waiting
// ones may take up to twice QueueBytes, regardless of offered frames, and one call may
// exceed that if none waits. Beyond that the session is closed and Send returns
// [ErrQueueFull]. It returns [ErrClosed] after the session was closed.
func (s *Session) Send(frames ...Frame) error {
	s.mu.Lock()
	if s.state != stateOpen {
		s.mu.Unlock()
		return ErrClosed
	}
	waiting := s.queue.controlBytes
	if waiting > 0 && waiting+controlCostBytes(frames...) > hardLimitFactor*s.server.cfg.QueueBytes {
		s.spawn(func() { s.abort(ReasonQueueFull, frameClose) })
		s.mu.Unlock()
		return ErrQueueFull
	}
	for _, frame := range frames {
		s.enqueue(frame)
	}
	s.transport.flush()
	s.mu.Unlock()
	return nil
}

// enqueue passes a frame to the transport, or queues it if the transport has no room.
// Called with the lock held.
func (s *Session) enqueue(frame Frame) {
	s.queue.add(frame)
	if s.queue.empty() && s.transport.take(frame) {
		return
	}
	s.queue.push(frame)
}

// refill moves frames from the queue to the transport, and closes the transport when the
// last frame of a closing session is sent. Called with the lock held.
func (s *Session) refill() {
	for !s.queue.empty() && s.transport.take(s.queue.front()) {
		s.queue.pop()
	}
	if s.state == stateClosing && s.queue.empty() && s.transport.idle() {
		s.transport.finish()
		return
	}
	s.transport.flush()
}

// sent accounts for bytes that a transport has sent, control of them in control frames. It
// returns the receiver to call because there is room again, or nil. Called with the lock
// held.
func (s *Session) sent(cost, control int) (waiting Receiver) {
	if s.state == stateClosed {
		return nil
	}
	s.queue.unsentBytes -= cost
	s.queue.controlBytes -= control
	if s.refused && s.queue.unsentBytes < s.server.cfg.QueueBytes/2 && s.receiver != nil {
		s.refused = false
		return s.receiver
	}
	return nil
}
