package fanout

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

// Sessions keeps the states of sessions for as long as a client may come back:
// over the death of its connection, or of the whole gateway, and for the other
// gateways. Every method may be called concurrently.
type Sessions interface {
	// Save replaces what is kept of a session, whose id is 22 characters of
	// base64url. It does not wait.
	Save(id string, state []byte)
	// Forget drops it. It does not wait either.
	Forget(id string)
	// Load returns what is kept, if anything is.
	Load(ctx context.Context, id string) (state []byte, found bool, err error)
}

// loadTimeout bounds how long a client that wants its session back waits for it.
// After that it gets a new one.
const loadTimeout = time.Second

// session is what is kept of a socket, in JSON. Its key is the private id, which
// the client alone knows.
type session struct {
	SID string `json:"sid"`
	// Life counts the connects of the session. The socket of a lower one is dead,
	// at whichever gateway it still hangs.
	Life int `json:"life"`
	// Origin has to be the same when the session is recovered.
	Origin string `json:"origin,omitempty"`
	// Subject, that of the client's token, too.
	Subject string       `json:"subject,omitempty"`
	Jobs    []sessionJob `json:"jobs,omitempty"`
}

// sessionJob is one subscription, with the position that it was asked for from:
// it counts until the client has received anything.
type sessionJob struct {
	JobID string              `json:"jobId"`
	Since *messaging.Position `json:"since,omitempty"`
}

// recall is a session that a client asks to have back.
type recall struct {
	pid    string
	kept   session
	offset offset
}

// recall returns the session that a CONNECT names in its auth, if it can be
// recovered. Everything in auth is the client's word: what does not fit makes it
// an ordinary connect.
func (g *Gateway) recall(auth json.RawMessage, origin, subject string) (recall, bool) {
	var named struct {
		PID    string `json:"pid"`
		Offset string `json:"offset"`
	}
	if g.sessions == nil || json.Unmarshal(auth, &named) != nil || named.PID == "" {
		return recall{}, false
	}
	wanted := recall{pid: named.PID}
	if named.Offset != "" {
		var err error
		if wanted.offset, err = parseOffset(named.Offset); err != nil {
			return recall{}, false
		}
	}
	g.takeOver(named.PID) // first, so that what is loaded is what it leaves behind
	ctx, cancel := context.WithTimeout(context.Background(), loadTimeout)
	defer cancel()
	state, found, err := g.sessions.Load(ctx, named.PID)
	if err != nil {
		g.logger.Warn("a session cannot be recovered: it cannot be read", "origin", origin, "err", err)
	}
	if !found || err != nil {
		return recall{}, false
	}
	if err := json.Unmarshal(state, &wanted.kept); err != nil || wanted.kept.Origin != origin || wanted.kept.Subject != subject {
		return recall{}, false
	}
	return wanted, wanted.complete()
}

// complete reports whether the kept session has every job that the client has
// received events of. One that has not was kept before the last subscription,
// because whatever keeps sessions was killed too; the client subscribes anew.
func (r recall) complete() bool {
	known := make(map[string]bool, len(r.kept.Jobs))
	for _, job := range r.kept.Jobs {
		known[jobKey(job.JobID)] = true
	}
	for _, mark := range r.offset.marks {
		if !known[mark.key] {
			return false
		}
	}
	return true
}

// takeOver ends what an earlier socket of the session still holds here: the
// client has left it, and the server need not have noticed.
func (g *Gateway) takeOver(pid string) {
	g.mu.Lock()
	old := g.clients[pid]
	g.mu.Unlock()
	if old != nil {
		g.leave(old)
	}
}

// leave ends a socket whose client goes on with another one.
func (g *Gateway) leave(old *client) {
	g.mu.Lock()
	if g.clients[old.pid] == old {
		delete(g.clients, old.pid) // the session is no longer the old socket's to forget
	}
	g.mu.Unlock()
	old.release()
	old.socket.Disconnect(true)
}

// identify gives a new client its session: the one it asks for, or a fresh one.
func (c *client) identify(wanted recall, recovered bool) {
	g := c.gateway
	if g.sessions == nil {
		return
	}
	c.pid, c.life = newPID(), 1
	sid := c.socket.ID()
	if recovered {
		c.pid, c.life, sid = wanted.pid, wanted.kept.Life+1, wanted.kept.SID
	}
	c.socket.Identify(sid, c.pid)
	g.mu.Lock()
	g.clients[c.pid] = c
	g.mu.Unlock()
}

// newPID returns a private id: 128 random bits in base64url, 22 characters.
func newPID() string {
	var bits [16]byte
	_, _ = rand.Read(bits[:]) // never fails: it ends the process instead
	return base64.RawURLEncoding.EncodeToString(bits[:])
}

// restore takes up the subscriptions of a recovered session, each right after
// what the client has received, and only if its token still allows the job. The
// mutex is held.
func (c *client) restore(wanted recall) {
	// All marks first: the first event of one job must not name that job alone.
	for _, job := range wanted.kept.Jobs {
		if sequence, found := wanted.offset.of(job.JobID); found {
			c.sink.reach(job.JobID, wanted.offset.epoch, sequence)
		} else {
			c.sink.expect(job.JobID, wanted.offset.epoch)
		}
	}
	limits := c.gateway.policy.Limits
	for _, job := range wanted.kept.Jobs {
		decision := limits.Subscribe(len(c.subscriptions)) // the limit may be lower than it was
		if !decision.Allowed() {
			c.refuse(problemOf(decision, job.JobID), nil)
			continue
		}
		c.gateway.count(decision, c.slot.Origin()) // in a dry run
		if decision := c.grant.Follow(job.JobID); !decision.Allowed() {
			c.refuse(problemOf(decision, job.JobID), nil)
			continue
		}
		from := c.gateway.freshStart()
		if job.Since != nil {
			from.resume, from.position = true, *job.Since
		}
		asked := from
		if sequence, found := wanted.offset.of(job.JobID); found {
			from.resume, from.recovered = true, true
			from.position = messaging.Position{Epoch: wanted.offset.epoch, Sequence: sequence}
		}
		sub, err := c.gateway.hub.subscribe(job.JobID, c.reader, from)
		if err != nil {
			c.gateway.logger.Warn("a subscription cannot be restored", "job", job.JobID, "session", c.socket.ID(), "err", err)
			continue
		}
		c.subscriptions[job.JobID] = &follow{subscription: sub, asked: asked, restored: true}
	}
}

// save keeps the session as it is now: when it begins and when its subscriptions
// change, and again from time to time. Not at its end, which a gateway may notice
// when the session has long gone on at another. The client's mutex is held.
func (c *client) save() {
	if c.pid == "" || c.gone {
		return
	}
	kept := session{SID: c.socket.ID(), Life: c.life, Origin: c.socket.Request().Header.Get("Origin"), Subject: c.grant.Subject}
	for jobID, followed := range c.subscriptions {
		job := sessionJob{JobID: jobID}
		if followed.asked.resume {
			job.Since = &followed.asked.position
		}
		kept.Jobs = append(kept.Jobs, job)
	}
	state, err := json.Marshal(kept)
	if err != nil {
		return // strings and numbers always marshal
	}
	c.gateway.sessions.Save(c.pid, state)
}

// retire takes a socket that has gone out of the register. A session that either
// side has ended on purpose is forgotten; any other may be recovered for a while.
func (c *client) retire(final bool) {
	g := c.gateway
	if c.pid == "" {
		return
	}
	g.mu.Lock()
	current := g.clients[c.pid] == c
	if current {
		delete(g.clients, c.pid)
	}
	g.mu.Unlock()
	if current && final {
		g.sessions.Forget(c.pid)
	}
}
