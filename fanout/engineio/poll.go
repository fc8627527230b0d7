package engineio

import (
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// probedPollDelay is how long a poll waits while a WebSocket probes: long enough that a
// client that has not received the answer to its probe does not poll in a loop, and that a
// client that does not wait for the answer completes its upgrade.
const probedPollDelay = 50 * time.Millisecond

// openPolling starts a session whose first poll is this request.
func (s *Server) openPolling(w http.ResponseWriter, r *http.Request) *refusal {
	session := s.newSession(r)
	first := &poll{ready: make(chan struct{})}
	if !session.start(&polling{session: session, waiting: first}, []string{transportWebSocket}) {
		session.endUnstarted()
		return refuseShutdown
	}
	session.respond(w, first)
	return nil
}

// servePoll answers a GET when there are frames to send.
func (s *Session) servePoll(w http.ResponseWriter, r *http.Request) *refusal {
	s.mu.Lock()
	transport, ok := s.transport.(*polling)
	if !ok || transport.over {
		s.mu.Unlock()
		return refuseRequest
	}
	if transport.waiting != nil {
		s.mu.Unlock()
		s.abort(ReasonTransportError, frameClose)
		return refuseRequest
	}
	if s.overdue() {
		s.mu.Unlock()
		s.abort(ReasonPingTimeout, frameClose)
		return refuseSession
	}
	mine := &poll{ready: make(chan struct{})}
	transport.waiting = mine
	s.refill()
	probing := s.upgrade != nil && s.upgrade.stage.Load() == stageProbed
	s.mu.Unlock()

	// The server's own timeout is meant for answers that do not wait. That of reading
	// stays: it ends with a request that is complete, and a poll has no body.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) // where it is unsupported, there is no deadline
	if probing {
		hold := s.after(probedPollDelay, s.endPoll)
		defer hold.Stop()
	}
	select {
	case <-mine.ready:
	case <-r.Context().Done():
		s.abort(ReasonTransportClose, frameClose)
		return nil
	}
	if len(mine.frames) == 0 {
		return refuseRequest
	}
	s.respond(w, mine)
	return nil
}

// endPoll answers a waiting poll with noop.
func (s *Session) endPoll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if transport, ok := s.transport.(*polling); ok {
		transport.noop()
	}
}

// respond writes the frames of a released poll and updates the session.
func (s *Session) respond(w http.ResponseWriter, done *poll) {
	body := AppendPayload(nil, done.frames...)
	w.Header().Set("Content-Type", payloadType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	control := http.NewResponseController(w)
	for part := range slices.Chunk(body, coalesceBytes) { // slow progress is progress
		_ = control.SetWriteDeadline(time.Now().Add(s.server.cfg.WriteTimeout)) // where it is supported
		if _, err := w.Write(part); err != nil {
			s.abort(ReasonTransportClose, frameClose)
			return
		}
	}
	s.server.metrics.sent.Add(float64(len(done.frames)))
	cost := costBytes(done.frames...)
	s.mu.Lock()
	s.moved(done.frames...)
	waiting := s.sent(cost, controlCostBytes(done.frames...))
	if transport, ok := s.transport.(*polling); ok && s.state != stateClosed {
		transport.writing -= cost
		s.refill()
	}
	s.mu.Unlock()
	if waiting != nil {
		waiting.Room()
	}
}

// servePost handles the packets of one POST.
func (s *Session) servePost(w http.ResponseWriter, r *http.Request) *refusal {
	s.mu.Lock()
	transport, ok := s.transport.(*polling)
	if !ok || transport.over {
		s.mu.Unlock()
		return refuseRequest
	}
	if transport.posting {
		s.mu.Unlock()
		s.abort(ReasonTransportError, frameClose)
		return refuseRequest
	}
	transport.posting = true
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		transport.posting = false
		s.mu.Unlock()
	}()

	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err == nil && kind == "application/octet-stream" {
		s.abort(ReasonTransportError, frameClose) // protocol 4 has base64 instead
		return refuseRequest
	}
	body, release, refused := s.readBody(w, r, transport)
	defer release()
	if refused != nil {
		return refused
	}
	if CheckPayload(body) != nil {
		s.abort(ReasonParseError, frameClose)
		return refuseRequest
	}
	for packet := range Packets(body) {
		if !s.receive(packet) {
			break
		}
	}
	w.Header().Set("Content-Type", payloadType)
	_, _ = io.WriteString(w, "ok") // fails if the client has disconnected; its packets are handled already
	return nil
}
