package hub

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/letswriteabook/realtime/messaging"
)

// plainEncoder makes no form of its own. It panics over one sequence.
type plainEncoder struct{ panicsOver uint64 }

// plainWire counts how often it was settled.
type plainWire struct{ size, settled int }

func (w *plainWire) Size() int { return w.size }
func (*plainWire) Forms() int  { return 2 }
func (w *plainWire) Settle()   { w.settled++ }

func (e plainEncoder) Encode(ev *Event) Wire {
	if ev.Sequence == e.panicsOver {
		panic("for the test")
	}
	return &plainWire{size: len(ev.Payload)}
}

// brittleSink panics over one sequence, and can be closed.
type brittleSink struct {
	countingSink
	panicsOver uint64
	aborted    chan struct{}
}

func (s *brittleSink) Offer(ev *Event) bool {
	if ev.Sequence == s.panicsOver {
		panic("for the test")
	}
	return s.countingSink.Offer(ev)
}

func (s *brittleSink) Abort() { close(s.aborted) }

// liveHub returns a hub without stores whose room has a subscription of each sink, and
// what hands it the job's next record.
func liveHub(t *testing.T, encoder Encoder, sinks ...Sink) (hub *Hub, publish func(), logged *bytes.Buffer) {
	t.Helper()
	logged = &bytes.Buffer{}
	hub, err := New(nil, nil, nil, messaging.DefaultCatalogue(), encoder, DefaultConfig(), slog.New(slog.NewTextHandler(logged, nil)), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	hub.crew.begin(t.Context())
	t.Cleanup(hub.crew.end)
	room := newRoom("job", "", hub.erased)
	room.open(messaging.Extent{First: 1}, 0, room.openedAt)
	hub.rooms["job"] = room
	for _, sink := range sinks {
		room.join(&Subscription{room: room, sink: sink, reader: NewReader(hub, sink, "")})
	}
	var sequence uint64
	return hub, func() {
		sequence++
		body := `{"version":1,"kind":"domain","jobId":"job","event":{"type":"t","occurredAt":"2026-01-02T03:04:05Z"}}`
		hub.Live(messaging.Live{Previous: sequence - 1, Record: messaging.Record{
			JobID: "job", Kind: messaging.KindDomain, Body: []byte(body), Position: messaging.Position{Sequence: sequence},
		}})
	}, logged
}

// A panic over an event in one client's sink closes that client. The others are given the
// event, and all that follow.
func TestPanicInASinkCostsItsClientOnly(t *testing.T) {
	t.Parallel()
	for place := range 3 {
		t.Run(fmt.Sprint("place ", place), func(t *testing.T) {
			t.Parallel()
			sinks := make([]Sink, 3)
			for i := range sinks {
				sinks[i] = &countingSink{}
			}
			brittle := &brittleSink{panicsOver: 2, aborted: make(chan struct{})}
			sinks[place] = brittle
			hub, publish, logged := liveHub(t, plainEncoder{}, sinks...)
			for range 4 {
				publish()
			}
			<-brittle.aborted
			for i, sink := range sinks {
				if counting, ok := sink.(*countingSink); ok && counting.taken != 4 {
					t.Errorf("sink %d was given %d events of 4", i, counting.taken)
				}
			}
			if brittle.taken != 1 {
				t.Errorf("the sink that panicked was given %d events", brittle.taken)
			}
			checkPanics(t, hub, logged, 1)
		})
	}
}

// A panic over a replayed event in one client's sink closes that client, and the others are
// shown the event.
func TestPanicOverAReplayCostsItsClientOnly(t *testing.T) {
	t.Parallel()
	for place := range 3 {
		t.Run(fmt.Sprint("place ", place), func(t *testing.T) {
			t.Parallel()
			sinks := make([]Sink, 3)
			for i := range sinks {
				sinks[i] = &countingSink{}
			}
			brittle := &brittleSink{panicsOver: 0, aborted: make(chan struct{})}
			sinks[place] = brittle
			hub, publish, logged := liveHub(t, plainEncoder{panicsOver: 9}, sinks...)
			publish()
			body := `{"version":1,"kind":"domain","jobId":"job","event":{"type":"t","occurredAt":"2026-01-02T03:04:05Z"}}`
			hub.Show(messaging.Replay{Room: "job", Record: messaging.Record{
				JobID: "job", Kind: messaging.KindDomain, Body: []byte(body), Position: messaging.Position{Sequence: 1},
			}})
			<-brittle.aborted
			publish()
			for i, sink := range sinks {
				if counting, ok := sink.(*countingSink); ok && counting.taken != 3 {
					t.Errorf("sink %d was given %d events of 3", i, counting.taken)
				}
			}
			if brittle.taken != 1 {
				t.Errorf("the sink that panicked was given %d events", brittle.taken)
			}
			checkPanics(t, hub, logged, 1)
		})
	}
}

// An event whose encoding panics is left out, as one of an unknown kind is.
func TestPanicInTheEncoderCostsItsEventOnly(t *testing.T) {
	t.Parallel()
	sink := &countingSink{}
	hub, publish, logged := liveHub(t, plainEncoder{panicsOver: 2}, sink)
	for range 4 {
		publish()
	}
	if room := hub.rooms["job"]; sink.taken != 3 || room.head != 4 || room.behind {
		t.Errorf("%d events of 3, head %d, behind %t", sink.taken, room.head, room.behind)
	}
	checkPanics(t, hub, logged, 1)
}

// What an event's form keeps for a part of the clients is dropped once the event is in the
// ring, whether or not anybody was live.
func TestEventsInTheRingAreSettled(t *testing.T) {
	t.Parallel()
	for _, sinks := range [][]Sink{nil, {&countingSink{}, &countingSink{}}} {
		hub, publish, _ := liveHub(t, plainEncoder{}, sinks...)
		publish()
		for _, ev := range hub.rooms["job"].ring.events {
			if wire := ev.Wire.(*plainWire); wire.settled != 1 {
				t.Errorf("with %d subscriptions: settled %d times", len(sinks), wire.settled)
			}
		}
	}
}

func checkPanics(t *testing.T, hub *Hub, logged *bytes.Buffer, want int) {
	t.Helper()
	if n := int(testutil.ToFloat64(hub.metrics.panics)); n != want {
		t.Errorf("%d panics are counted, want %d", n, want)
	}
	if n := strings.Count(logged.String(), "level=ERROR"); n != 1 {
		t.Errorf("%d lines: %s", n, logged)
	}
}
