package engineio

import "time"

// polling is the transport over HTTP requests: a GET waits for frames to send, and a POST
// has packets of the client. There is at most one of each at a time.
//
// All fields are guarded by the session's lock.
type polling struct {
	session *Session
	waiting *poll
	// writing is the cost of the frames in the response being written.
	writing int
	posting bool
	// cut interrupts the reading of a POST's body; nil while none is read.
	cut func()
	// left is true if the client has closed and may still poll for the answer.
	left bool
	// over is true if the session has moved to a WebSocket or has ended.
	over bool
}

// poll is one waiting GET.
type poll struct {
	frames []Frame
	// ready is closed when frames is complete. Without frames, the poll arrived too late and
	// is refused.
	ready chan struct{}
}

func (p *polling) name() string { return transportPolling }

func (p *polling) take(frame Frame) bool {
	if p.waiting == nil || len(p.waiting.frames) >= maxAnswerPackets {
		return false
	}
	p.waiting.frames = append(p.waiting.frames, frame)
	return true
}

func (p *polling) flush() {
	if p.waiting != nil && len(p.waiting.frames) > 0 {
		p.release()
	}
}

// release answers the waiting poll with the frames that it has.
func (p *polling) release() {
	if p.waiting != nil {
		p.writing += costBytes(p.waiting.frames...)
		close(p.waiting.ready)
		p.waiting = nil
	}
}

func (p *polling) idle() bool {
	return p.writing == 0 && (p.waiting == nil || len(p.waiting.frames) == 0)
}

// noop answers a waiting poll that has no frames.
func (p *polling) noop() {
	if p.waiting != nil {
		p.session.queue.add(frameNoop)
		p.take(frameNoop)
		p.release()
	}
}

// finish answers a separate poll with the end of the session. If the end were in one
// response with messages, socket.io-client would handle it before the messages: it would
// hold them back until it is connected again and then request them once more.
func (p *polling) finish() {
	s, farewell := p.session, frameClose
	if p.left {
		farewell = frameNoop
	}
	if p.waiting == nil {
		if !p.left {
			s.schedule(time.Now().Add(farewellGrace))
		}
		return // the poll, or the timer
	}
	s.spawn(func() { s.abort(s.reason, farewell) })
}

// abort answers a waiting poll with the farewell or, if the client should reconnect,
// refuses it. The session is closed, so no other poll is accepted.
func (p *polling) abort(farewell Frame) {
	p.session.mu.Lock()
	defer p.session.mu.Unlock()
	p.over = true
	if p.cut != nil {
		p.cut()
	}
	if p.waiting != nil {
		if !returns(p.session.reason) {
			p.waiting.frames = append(p.waiting.frames, farewell)
		}
		p.release()
	}
}

// discard refuses a poll that still waits after the upgrade; a correct client has ended it
// before.
func (p *polling) discard() {
	p.session.mu.Lock()
	defer p.session.mu.Unlock()
	p.over = true
	p.release()
}
