package hub

import (
	"testing"
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

// busySink is busy with each event until it is let go.
type busySink struct {
	countingSink
	entered chan struct{}
	let     chan struct{}
}

func (s *busySink) Offer(ev *Event) bool {
	s.entered <- struct{}{}
	<-s.let
	return s.countingSink.Offer(ev)
}

// TestBusyRoomDelaysOnlyItself: while a room hands on an event, idle rooms are closed and
// rooms are checked, and neither keeps the hub's lock while it waits for the busy room.
func TestBusyRoomDelaysOnlyItself(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*Hub){
		"closing idle rooms": (*Hub).closeIdle,
		"a routine check":    func(h *Hub) { h.due(time.Now()) },
		"a check of all":     func(h *Hub) { h.all() },
	}
	for name, work := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			busy := &busySink{entered: make(chan struct{}), let: make(chan struct{})}
			hub, publish, _ := liveHub(t, plainEncoder{}, busy)
			other := newRoom("other", "", hub.erased)
			other.open(messaging.Extent{First: 1}, 0, other.openedAt)
			hub.rooms["other"] = other
			done := make(chan struct{}, 2)
			go func() { publish(); done <- struct{}{} }() // ends when the sink is let go
			<-busy.entered
			waits := make(chan struct{})
			go func() { // likewise
				close(waits)
				work(hub)
				done <- struct{}{}
			}()
			<-waits
			free := make(chan struct{})
			go func() { // ends with the test at the latest
				defer close(free)
				for range 1000 { // the other goroutine is at any of its steps
					hub.setEpoch("epoch")
					hub.Live(messaging.Live{Record: messaging.Record{JobID: "other", Kind: messaging.KindDomain}})
					time.Sleep(time.Microsecond)
				}
			}()
			select {
			case <-free:
			case <-time.After(2 * time.Minute):
				t.Error("the hub's lock waits for the busy room")
			}
			close(busy.let)
			<-free
			<-done
			<-done
		})
	}
}
