package e2e_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/letswriteabook/realtime/messaging"
)

// transports are the ways in which the clients of one test connect.
var transports = map[string]options{
	"default":   {"transports": []string{"polling", "websocket"}}, // polling, then an upgrade
	"polling":   {"transports": []string{"polling"}},
	"websocket": nil,
}

// visitor is a client without a line of ours for the case that its connection
// breaks: after its first connect it does nothing but listen. Whatever comes
// back to it was brought back by its library and the gateway.
type visitor struct {
	*client
	network *proxy

	id         string // of the session; empty until the first connect
	connected  bool
	transport  string     // "polling" or "websocket"
	recoveries int        // how many connects brought the session back
	journals   []*journal // one for each job that it has subscribed to
}

// visit connects one client for each of the transports, or for those that are
// named, each through a network of its own.
func visit(t testing.TB, g *gateway, names ...string) []*visitor {
	t.Helper()
	return visitWith(t, g, nil, names...)
}

// visitWith does so with clients that always subscribe, unless that is nil.
func visitWith(t testing.TB, g *gateway, subscribing *always, names ...string) []*visitor {
	t.Helper()
	if len(names) == 0 {
		names = slices.Sorted(maps.Keys(transports))
	}
	all := make([]*visitor, len(names))
	for i := range all {
		all[i] = &visitor{network: startProxy(t, g)}
		if subscribing != nil {
			for _, jobID := range subscribing.Jobs {
				all[i].journals = append(all[i].journals, &journal{jobID: jobID})
			}
		}
	}
	nodes := startDriver(t) // after the networks, so that the clients can leave
	for i, name := range names {
		all[i].client = nodes.launch(command{
			Client: name, URL: all[i].network.url(), Options: merge(transports[name]), Always: subscribing,
		})
	}
	for _, v := range all {
		v.reconnected()
	}
	return all
}

// watch subscribes to a job and waits for the end of its catch-up.
func (v *visitor) watch(jobID string) {
	v.driver.t.Helper()
	v.journals = append(v.journals, &journal{jobID: jobID})
	v.subscribe(jobID, nil)
	for {
		e := v.next()
		v.take(e)
		if e.Name != messaging.EventCaughtUp {
			continue
		}
		var end messaging.CaughtUp
		if e.into(v.driver.t, &end); end.JobID == jobID {
			return
		}
	}
}

// journal returns what the client has of a job.
func (v *visitor) journal(jobID string) *journal {
	v.driver.t.Helper()
	at := slices.IndexFunc(v.journals, func(j *journal) bool { return j.jobID == jobID })
	if at < 0 {
		v.driver.t.Fatalf("client %s: an event of %q, which it does not follow", v.name, jobID)
	}
	return v.journals[at]
}

// take notes one thing that happened to the client. Every connect but the first
// has to bring the session back.
func (v *visitor) take(e event) {
	t := v.driver.t
	t.Helper()
	switch {
	case e.Name == "connect":
		var connected struct {
			ID, Transport string
			Recovered     bool
		}
		e.into(t, &connected)
		if recoverable := v.id != ""; connected.Recovered != recoverable || recoverable && connected.ID != v.id {
			t.Fatalf("client %s: connected as %+v, and its session is %q", v.name, connected, v.id)
		}
		if connected.Recovered {
			v.recoveries++
		}
		v.id, v.connected, v.transport = connected.ID, true, connected.Transport
	case e.Name == "upgrade":
		e.into(t, &v.transport)
	case e.Name == "disconnect":
		if string(e.Args[0]) == `"io server disconnect"` {
			t.Fatalf("client %s: %s, after which it does not come back", v.name, e)
		}
		v.connected = false
	case e.Name == messaging.EventGap, e.Name == messaging.EventError:
		t.Fatalf("client %s: %s", v.name, e)
	case carriesRecord(e):
		var d delivery
		e.into(t, &d)
		v.journal(d.JobID).take(v.client, e)
	}
}

// parted waits until the client has noticed that its connection is gone. One that
// polls has none at times, and need not notice a break that is over by then.
func (v *visitor) parted() {
	v.driver.t.Helper()
	for v.connected {
		v.take(v.next())
	}
}

// reconnected waits until the client is connected.
func (v *visitor) reconnected() {
	v.driver.t.Helper()
	for !v.connected {
		v.take(v.next())
	}
}

// upgraded waits until a client that can do better than polling does.
func (v *visitor) upgraded() {
	v.driver.t.Helper()
	for v.name != "polling" && v.transport != "websocket" {
		v.take(v.next())
	}
}

// follow waits until the client has n events of a job.
func (v *visitor) follow(jobID string, n int) {
	t := v.driver.t
	t.Helper()
	for j := v.journal(jobID); len(j.delivered) < n; {
		e, found := v.within(patience)
		if !found {
			t.Fatalf("client %s: %d of %d events of %s, then none for %s", v.name, len(j.delivered), n, jobID, patience)
		}
		v.take(e)
	}
}

// receive waits until the client has received n more events, of any job.
func (v *visitor) receive(n int) {
	v.driver.t.Helper()
	for n > 0 {
		e := v.next()
		if v.take(e); carriesRecord(e) {
			n--
		}
	}
}

// finish waits for everything that was published, and compares it with the log.
func (v *visitor) finish(producer *outbox) {
	t := v.driver.t
	t.Helper()
	for _, j := range v.journals {
		v.follow(j.jobID, len(producer.storedOf(j.jobID)))
	}
	v.do("ping") // nothing more may be on its way
	for {
		e := v.next()
		v.take(e)
		if e.Name == messaging.EventPong {
			break
		}
	}
	for _, j := range v.journals {
		j.compare(v.client, producer.storedOf(j.jobID))
	}
}
