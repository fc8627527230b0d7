package hub

import (
	"maps"
	"testing"
)

// Who waits for a look-up is counted until the subscription ends, with the look-up and with
// the read that it shares.
func TestWhoWaitsForALookUp(t *testing.T) {
	t.Parallel()
	hub, _, _ := liveHub(t, plainEncoder{})
	lane, room := hub.history.flights.lanes[classFirst], hub.rooms["job"]
	subscribe := func(client string) *Subscription {
		room.refs++
		sink := &countingSink{}
		return &Subscription{room: room, sink: sink, reader: NewReader(hub, sink, client), state: stateReading}
	}
	first, second, third := subscribe("a"), subscribe("b"), subscribe("b")
	looking, read := first.awaitLookUp(lane), &claim{clients: make(map[string]int)}
	second.awaitLookUp(lane)
	lane.join(looking, read)
	third.awaitLookUp(lane)
	third.awaitLookUp(lane) // as after the log has begun a new epoch
	expect := func(when string, want map[string]int) {
		t.Helper()
		if !maps.Equal(looking.clients, want) || !maps.Equal(read.clients, want) {
			t.Errorf("%s: %v wait for the look-up, %v for the read, want %v", when, looking.clients, read.clients, want)
		}
	}
	expect("all", map[string]int{"a": 1, "b": 2})
	first.End()
	second.End()
	second.awaitLookUp(lane) // by a turn that was under way
	expect("one", map[string]int{"b": 1})
	third.End()
	expect("none", map[string]int{})
	fourth := subscribe("c")
	if started := fourth.awaitLookUp(lane); started != nil {
		t.Error("a second look-up begins beside the first")
	}
	expect("another", map[string]int{"c": 1})
	room.endLookUp()
	fourth.End()
	expect("after it has ended", map[string]int{"c": 1}) // nobody uses the claim any more
}

// A look-up outlasts the turn that starts it. It asks for what was due then, whatever the
// subscription's reader changes meanwhile.
func TestLookUpAsksForWhatWasDueAtItsStart(t *testing.T) {
	t.Parallel()
	hub, _, _ := liveHub(t, plainEncoder{})
	hub.crew = &crew{guard: hub.guard} // which starts the look-up when the test says so
	room, sink := hub.rooms["job"], &countingSink{}
	sub := &Subscription{room: room, sink: sink, reader: NewReader(hub, sink, "a"), start: Start{Limit: 7}}
	hub.startLookUp(sub)
	sub.start = Start{Resume: true, Limit: 99}
	hub.crew.begin(t.Context())
	hub.crew.end()
	if answer := room.lookUp; answer == nil || answer.limit != 7 {
		t.Errorf("the look-up's answer is %+v, want one for 7 events", answer)
	}
}
