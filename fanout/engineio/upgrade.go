package engineio

import "github.com/gorilla/websocket"

// The upgrade of a session from polling to WebSocket:
//
//	client                      server
//	  │── 2probe ──WebSocket──▶   │
//	  │◀─ 3probe ──WebSocket──    │  waiting polls are answered with noop
//	  │   (client ends polling)   │
//	  │── 5 ───────WebSocket──▶   │  the queue moves over, in order

const probe = "probe"

// connected is called after the handshake and before the connection is read.
func (w *webSocket) connected() {
	w.conn.startFraming()
	s := w.session
	if w.stage.Load() == stageActive {
		if !s.start(w, []string{}) {
			w.refuse(websocket.ClosePolicyViolation)
		}
		return
	}
	s.mu.Lock()
	possible := s.state == stateOpen && s.upgrade == nil && s.transport.name() == transportPolling
	if possible {
		s.upgrade = w
		// Stopped when the connection ends. If it fires late, the upgrade is done already.
		w.expiry = s.after(w.server.cfg.UpgradeTimeout, w.expired)
	}
	s.mu.Unlock()
	if !possible {
		w.refuse(websocket.ClosePolicyViolation)
	}
}

// refuse tells the client to disconnect, with a WebSocket close code.
func (w *webSocket) refuse(code int) {
	w.stage.Store(stageRefused)
	w.session.mu.Lock()
	defer w.session.mu.Unlock()
	w.giveUp()
	w.sayGoodbye(code, "")
	w.flush()
}

// giveUp allows another WebSocket to try the upgrade. Called with the session's lock held.
func (w *webSocket) giveUp() {
	if w.session.upgrade == w {
		w.session.upgrade = nil
	}
	if w.expiry != nil {
		w.expiry.Stop()
	}
}

// expired closes a WebSocket that did not finish the upgrade in time; the session continues
// with polling. A WebSocket that has just finished the upgrade stays.
func (w *webSocket) expired() {
	w.session.mu.Lock()
	late := w.session.upgrade == w
	w.giveUp() // adopt refuses it from now on
	w.session.mu.Unlock()
	if late {
		w.conn.closeNow()
	}
}

// probe handles the packets before the upgrade is done. Only the goroutine that reads this
// connection calls it.
func (w *webSocket) probe(data []byte, binary bool) {
	packet, err := ParsePacket(data)
	stage := w.stage.Load()
	switch {
	case binary || err != nil:
	case stage == stageProbing && packet.Type == PacketPing && string(packet.Data) == probe:
		w.stage.Store(stageProbed)
		w.session.probed(w)
		return
	case stage == stageProbed && packet.Type == PacketUpgrade:
		if w.session.adopt(w) {
			return
		}
	}
	w.refuse(websocket.ClosePolicyViolation)
}

// probed answers the probe, and soon ends a waiting poll so that the client stops polling.
func (s *Session) probed(w *webSocket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == stateClosed {
		return
	}
	s.queue.add(frameProbePong)
	w.own = append(w.own, frameProbePong)
	w.flush()
	// If it fires late, there is no poll, or it ends a poll without need.
	s.after(probedPollDelay, s.endPoll)
}

// adopt makes the WebSocket the session's transport.
func (s *Session) adopt(w *webSocket) bool {
	s.mu.Lock()
	if s.upgrade != w || s.state == stateClosed {
		s.mu.Unlock()
		return false
	}
	old := s.transport
	w.giveUp()
	s.transport = w
	w.stage.Store(stageActive)
	s.refill()
	s.mu.Unlock()
	old.(*polling).discard()
	s.server.metrics.upgrades.Inc()
	return true
}
