package gateway

import (
	"encoding/json"
	"net/url"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/letswriteabook/realtime/fanout/hub"
	"github.com/letswriteabook/realtime/messaging"
)

// OnRegistered has hook called when a client has been registered with its session,
// with what another connect of the session does: it ends the client. It is called
// before the gateway is used.
func OnRegistered(g *Gateway, hook func(leave func())) {
	g.registered = func(c *client) { hook(func() { g.leave(c) }) }
}

// Encode encodes a record for both wire formats, and returns their sizes.
func Encode(catalogue *messaging.Catalogue, record messaging.Record) (packet, block int, err error) {
	ev, err := hub.NewEvent(catalogue, Encoder{Offsets: true}, record)
	if err != nil {
		return 0, 0, err
	}
	return len(formsOf(ev).packet), len(formsOf(ev).streamed()), nil
}

// ParseSince reads the since of a subscribe request.
func ParseSince(raw []byte) (position messaging.Position, ok bool) {
	position, err := parseSince(raw)
	return position, err == nil
}

// CheckQuery reads the query of a REST request and returns its limit.
func CheckQuery(values url.Values) (limit int, err error) {
	query, err := parseEventsQuery(values, 250)
	return query.Limit, err
}

// Slowed returns how many requests have waited because their clients were slowed down.
func (g *Gateway) Slowed() float64 { return testutil.ToFloat64(g.slowedTotal) }

// Throttled counts the reads that waited, or in a dry run would have.
func (g *Gateway) Throttled(dryRun bool) prometheus.Counter {
	return g.throttled.WithLabelValues(strconv.FormatBool(dryRun))
}

// ParseSubscribe reads the argument of a subscribe request.
func ParseSubscribe(raw []byte) (jobID string, position messaging.Position, problem *messaging.Problem) {
	c := &client{gateway: &Gateway{policy: Policy{CatchUpLimit: 1}}}
	jobID, from, problem := c.parseSubscribe([]json.RawMessage{raw})
	return jobID, from.Position, problem
}

// Recover reads the auth of a CONNECT and looks for the session that it names. It
// reports whether a session is still claimed afterwards, and whether one was recovered.
func Recover(sessions Sessions, auth []byte) (claimed, recovered bool) {
	g := &Gateway{sessions: sessions, claims: make(map[string]struct{}), clients: make(map[string]*client)}
	_, recovered, release := g.recall(auth, "", "", time.Time{})
	release()
	return len(g.claims) > 0, recovered
}

// FireTimers runs what the timers of every socket run, as timers do that were set again
// while they fired.
func FireTimers(g *Gateway) {
	for _, c := range g.sockets.list() {
		if c.expiry != nil {
			c.checkExpiry()
		}
		c.checkIdle()
	}
}
