package fanout

import (
	"net/url"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/messaging"
)

// countingSink takes everything.
type countingSink struct{ taken int }

func (s *countingSink) offer(*event) bool { s.taken++; return true }
func (s *countingSink) send(string, any)  {}
func (s *countingSink) abort()            {}

func (s *countingSink) reach(string, string, uint64) {}
func (s *countingSink) stand(string, string, uint64) {}
func (s *countingSink) room() <-chan struct{}        { return nil }
func (s *countingSink) done() <-chan struct{}        { return nil }

// FanOut returns what hands a job's records to n live subscriptions that cost
// nothing themselves, and how many were handed over.
func FanOut(hub *Hub, jobID string, n int) (live func(messaging.Live), handed func() int) {
	room := newRoom(jobID, nil)
	room.open(Extent{First: 1}, 0, room.openedAt)
	hub.rooms[jobID] = room
	sinks := make([]countingSink, n)
	for i := range sinks {
		sub := &subscription{room: room, sink: &sinks[i], reader: newReader(hub, &sinks[i], "")}
		room.enliven(sub)
	}
	return hub.Live, func() int {
		sum := 0
		for i := range sinks {
			sum += sinks[i].taken
		}
		return sum
	}
}

// OnRegistered has hook called when a client has been registered with its session,
// with what another connect of the session does: it ends the client. It is called
// before the gateway is used.
func OnRegistered(g *Gateway, hook func(leave func())) {
	g.registered = func(c *client) { hook(func() { g.leave(c) }) }
}

// Encode encodes a record for both wire formats, and returns their sizes.
func Encode(catalogue *messaging.Catalogue, record messaging.Record) (packet, block int, err error) {
	ev, err := newEvent(catalogue, record, true)
	if err != nil {
		return 0, 0, err
	}
	return len(ev.packet), len(ev.streamed()), nil
}

// ParseSince reads the since of a subscribe request.
func ParseSince(raw []byte) (position messaging.Position, ok bool) {
	position, err := parseSince(raw)
	return position, err == nil
}

// CheckQuery reads the query of a REST request and returns its limit.
func CheckQuery(values url.Values) (limit int, err error) {
	query, err := parseEventsQuery(values, 250)
	return query.limit, err
}

// Throttled counts the reads that waited, or in a dry run would have.
func (g *Gateway) Throttled(dryRun bool) prometheus.Counter {
	return g.throttled.WithLabelValues(strconv.FormatBool(dryRun))
}
