package gateway

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/fanout/hub"
	"github.com/letswriteabook/realtime/fanout/recorder"
	"github.com/letswriteabook/realtime/fanout/socketio"
	"github.com/letswriteabook/realtime/messaging"
)

// socketSink delivers to a Socket.IO socket, and keeps the offset that its client needs to
// recover its session.
type socketSink struct {
	socket    *socketio.Socket
	delivered prometheus.Counter
	// offsets is set for a client that wants connection state recovery, before it joins.
	offsets bool
	// trail is what was sent; nil before the socket joins, and where nothing is recorded.
	trail *recorder.Trail
	// traces is set for a client that asks for trace contexts, before it joins.
	traces bool

	// mu guards offset. It is held while an event is queued, so that an offset covers
	// exactly the events that were queued before it.
	mu     sync.Mutex
	offset offset
}

// Offer implements hub.Sink. The packet that all sockets share has the offset of its own
// job; a socket that has received events of other jobs gets its own packet.
func (s *socketSink) Offer(ev *hub.Event) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	forms := formsOf(ev)
	if s.traces {
		forms = forms.withTrace()
	}
	packet := forms.packet
	switch {
	case forms.key == "":
	case !s.offsets:
		packet = forms.plainPacket()
	case s.offset.namesOthers(ev.Epoch, forms.key):
		packet = forms.packetWith(s.offset.with(ev.Epoch, forms.key, ev.Sequence))
	}
	if !s.offer(forms, packet) {
		s.trail.Full(ev.JobID, ev.Epoch, ev.Sequence)
		return false
	}
	s.trail.Sent(ev.JobID, ev.Epoch, ev.Sequence)
	if forms.key != "" {
		s.offset.set(ev.Epoch, forms.key, ev.Sequence)
	}
	s.delivered.Inc()
	return true
}

// offer queues one of an event's packets, compressed if the client decompresses it.
func (s *socketSink) offer(forms *wireForms, packet []byte) bool {
	if forms.common > 0 && s.socket.Deflates() {
		if frame, ok := forms.deflate(packet); ok {
			return s.socket.OfferFrame(frame)
		}
	}
	return s.socket.Offer(packet)
}

// Send implements hub.Sink. Messages that change the offset without an event carry it too:
// the beginning and the end of a subscription, and the end of its catch-up, which may be
// all that the client receives of an idle job.
func (s *socketSink) Send(name string, payload any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	noteSent(s.trail, name, payload)
	switch name {
	case messaging.EventSubscribed, messaging.EventCaughtUp, messaging.EventUnsubscribed:
		if s.offsets && s.offset.epoch != "" {
			_ = s.socket.Emit(name, payload, string(s.offset.append(nil)))
			return
		}
	}
	_ = s.socket.Emit(name, payload)
}

// expect records that the client is about to be told of a subscription.
func (s *socketSink) expect(jobID, epoch string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if epoch != "" {
		s.offset.expect(epoch, jobKey(jobID))
	}
}

// Reach implements hub.Sink.
func (s *socketSink) Reach(jobID, epoch string, sequence uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.offset.set(epoch, jobKey(jobID), sequence)
}

// SendPosition implements hub.Sink.
func (s *socketSink) SendPosition(epoch string, at messaging.CaughtUp) {
	s.Reach(at.JobID, epoch, at.To)
	s.Send(messaging.EventCaughtUp, at)
}

// forget removes a job that was unsubscribed from the offset.
func (s *socketSink) forget(jobID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.offset.drop(jobKey(jobID))
}

// Abort implements hub.Sink. The client reconnects automatically.
func (s *socketSink) Abort() { s.socket.Fail() }

func (s *socketSink) Room() <-chan struct{} { return s.socket.Room() }
func (s *socketSink) Done() <-chan struct{} { return s.socket.Done() }
