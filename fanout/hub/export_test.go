package hub

import (
	"github.com/letswriteabook/realtime/messaging"
)

// countingSink takes everything.
type countingSink struct{ taken int }

func (s *countingSink) Offer(*Event) bool { s.taken++; return true }
func (s *countingSink) Send(string, any)  {}
func (s *countingSink) Abort()            {}

func (s *countingSink) Reach(string, string, uint64)            {}
func (s *countingSink) SendPosition(string, messaging.CaughtUp) {}
func (s *countingSink) Room() <-chan struct{}                   { return nil }
func (s *countingSink) Done() <-chan struct{}                   { return nil }

// FanOut returns what hands a job's records to n live subscriptions that cost
// nothing themselves, and how many were handed over.
func FanOut(hub *Hub, jobID string, n int) (live func(messaging.Live), handed func() int) {
	room := newRoom(jobID, "", hub.erased)
	room.open(messaging.Extent{First: 1}, 0, room.openedAt)
	hub.rooms[jobID] = room
	sinks := make([]countingSink, n)
	for i := range sinks {
		sub := &Subscription{room: room, sink: &sinks[i], reader: NewReader(hub, &sinks[i], "")}
		room.join(sub)
	}
	return hub.Live, func() int {
		sum := 0
		for i := range sinks {
			sum += sinks[i].taken
		}
		return sum
	}
}
