package gateway

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

// Sessions stores the states of sessions for as long as clients may recover them: after a
// lost connection or a failure of the whole gateway, and at other gateways. Every method
// may be called concurrently.
type Sessions interface {
	// Save replaces the stored state of a session, whose id has 22 characters of base64url.
	// It does not wait.
	Save(id string, state []byte)
	// Forget removes the state. It does not wait.
	Forget(id string)
	// Load returns the stored state, if there is one.
	Load(ctx context.Context, id string) (state []byte, found bool, err error)
	// Renew keeps states from expiring, but only those that nobody else has saved since this
	// process did. state returns the state of a session now, nil for none. Renew replaces
	// no state that was saved after it called state, and calls state without a lock. It
	// returns the ids of the others, which may be unchanged.
	Renew(ctx context.Context, ids []string, state func(id string) []byte) (refused []string)
}

// loadTimeout bounds how long a client that recovers its session waits for it. After that
// it gets a new one.
const loadTimeout = time.Second

// session is the stored state of a socket, in JSON. Its key is the private id, which only
// the client has.
type session struct {
	SID string `json:"sid"`
	// Life counts the connects of the session. A socket with a lower number is obsolete, at
	// whichever gateway it is.
	Life int `json:"life"`
	// By is a random name of the connect. If two connects at different gateways have the
	// same Life, the session belongs to the one that was saved last.
	By string `json:"by,omitempty"`
	// Origin must be equal when the session is recovered.
	Origin string `json:"origin,omitempty"`
	// Subject is the subject of the client's token; it must be equal, too.
	Subject string       `json:"subject,omitempty"`
	Jobs    []sessionJob `json:"jobs,omitempty"`
}

// sessionJob is one subscription, with the position from which it was requested, which is
// used until the client has received anything.
type sessionJob struct {
	JobID string              `json:"jobId"`
	Since *messaging.Position `json:"since,omitempty"`
}

// recall is a session that a client wants to recover.
type recall struct {
	pid    string
	kept   session
	offset offset
	// holder is the earlier client that has the session at this gateway; nil if none has.
	holder *client
}

// maxAuthBytes bounds the auth of a CONNECT for which a session is looked up: a token and
// an offset.
const maxAuthBytes = 32 << 10

// recall returns the session that a CONNECT names in its auth, if it can be
// recovered. Everything in auth is the client's word: what does not fit makes it
// an ordinary connect. A socket that has the session keeps it until [Gateway.takeOver].
//
// Of several connections, opened then, that ask for one session at once, one gets it. release, which is never
// nil, lets the next one ask; it is called when the client has joined.
func (g *Gateway) recall(auth json.RawMessage, origin, subject string, opened time.Time) (wanted recall, recovered bool, release func()) {
	release = func() {}
	var named struct {
		PID    string `json:"pid"`
		Offset string `json:"offset"`
	}
	if g.sessions == nil || len(auth) > maxAuthBytes || json.Unmarshal(auth, &named) != nil || len(named.PID) != pidBytes {
		return recall{}, false, release
	}
	wanted.pid = named.PID
	if named.Offset != "" {
		var err error
		if wanted.offset, err = parseOffset(named.Offset); err != nil {
			return recall{}, false, release
		}
	}
	if !g.claim(wanted.pid) {
		return recall{}, false, release
	}
	release = func() { g.unclaim(named.PID) }
	kept, found := g.kept(wanted.pid, origin)
	if !found || kept.Origin != origin || kept.Subject != subject {
		return recall{}, false, release
	}
	if wanted.kept = kept; !wanted.complete() {
		return recall{}, false, release
	}
	// While the session is claimed, its holder can go, but no other client can have it.
	if wanted.holder = g.holder(wanted.pid); wanted.holder != nil && !wanted.holder.yields(opened) {
		return recall{}, false, release
	}
	return wanted, true, release
}

// takeOver ends the earlier socket that has the session, for a client that has been
// admitted. The client has left that socket, which the server may not have detected.
// takeOver returns the session as the socket leaves it, and whether it can be recovered.
func (g *Gateway) takeOver(wanted recall) (recall, bool) {
	left, was := g.leave(wanted.holder)
	g.keeping.Leave(wanted.pid, time.Now()) // until the new socket calls keep
	if was && left.Life >= wanted.kept.Life {
		wanted.kept = left
	}
	return wanted, wanted.complete()
}

// claim makes a CONNECT the only one that recovers a session, until unclaim. It returns
// false while another CONNECT recovers the session.
func (g *Gateway) claim(pid string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, taken := g.claims[pid]; taken {
		return false
	}
	g.claims[pid] = struct{}{}
	return true
}

func (g *Gateway) unclaim(pid string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.claims, pid)
}

// holder returns the client that has a session at this gateway, or nil.
func (g *Gateway) holder(pid string) *client {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.clients[pid]
}

// kept returns the newest state of a session: the stored one, or that of the client that
// has the session here.
func (g *Gateway) kept(pid, origin string) (session, bool) {
	ctx, cancel := context.WithTimeout(context.Background(), loadTimeout)
	defer cancel()
	state, found, err := g.sessions.Load(ctx, pid)
	if err != nil {
		g.logger.Warn("a session cannot be recovered: it cannot be read", "origin", origin, "err", err)
	}
	var kept session
	found = found && err == nil && json.Unmarshal(state, &kept) == nil
	if old := g.holder(pid); old != nil {
		old.mu.Lock()
		defer old.mu.Unlock()
		if !old.gone && (!found || kept.Life <= old.life) {
			return old.session(), true
		}
	}
	return kept, found
}

// yields reports whether a connection that was opened at opened may take over the session.
// A client opens its next connection after its last one has joined. A connection that was
// open before is one of several that compete for the session, and has lost.
func (c *client) yields(opened time.Time) bool { return opened.After(c.joinedAt) }

// complete reports whether the stored session has every job of which the client has
// received events. If not, it was stored before the last subscription, and the gateway and
// the store failed together; the client then subscribes again.
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

// leave ends a socket whose client continues with another one. It returns the session as
// the socket leaves it, unless the socket has ended already.
func (g *Gateway) leave(old *client) (left session, was bool) {
	g.mu.Lock()
	if g.clients[old.pid] == old {
		delete(g.clients, old.pid) // the old socket must not remove the session
	}
	g.mu.Unlock()
	old.finish(reasonTakenOver)
	left, was = old.release()
	old.socket.Disconnect(true)
	return left, was
}

// identify gives a new client its session: the one it asks for, or a new one. No other
// goroutine has the client before [Gateway.register].
func (c *client) identify(wanted recall, recovered bool) {
	if !c.sink.offsets {
		return
	}
	c.pid, c.life, c.by = newPID(), 1, newPID()[:11]
	sid := c.socket.ID()
	if recovered {
		c.pid, c.life, sid = wanted.pid, wanted.kept.Life+1, wanted.kept.SID
	}
	c.socket.Identify(sid, c.pid)
}

// register makes a client the holder of its session. The caller holds the client's mutex,
// and the client is complete, because other goroutines may end it from now on.
func (g *Gateway) register(c *client) {
	if c.pid == "" {
		return
	}
	g.mu.Lock()
	g.clients[c.pid] = c
	g.mu.Unlock()
	if g.registered != nil {
		g.registered(c)
	}
}

// pidBytes is the length of a private id.
const pidBytes = 22

// newPID returns a private id: 128 random bits in base64url, 22 characters.
func newPID() string {
	var bits [16]byte
	_, _ = rand.Read(bits[:]) // never fails: it ends the process instead
	return base64.RawURLEncoding.EncodeToString(bits[:])
}

// restore restores the subscriptions of a recovered session, each directly after what the
// client has received, and only if its token still allows the job. The caller holds the
// mutex.
func (c *client) restore(wanted recall) {
	// Set all marks first: the first event of one job must not have only the mark of that
	// job.
	for _, job := range wanted.kept.Jobs {
		if sequence, found := wanted.offset.of(job.JobID); found {
			c.sink.Reach(job.JobID, wanted.offset.epoch, sequence)
		} else {
			c.sink.expect(job.JobID, wanted.offset.epoch)
		}
	}
	limits := c.gateway.limits.Load()
	for _, job := range wanted.kept.Jobs {
		decision := limits.Subscribe(c.subscriptions.count()) // the limit may be lower than it was
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
			from.Resume, from.Position = true, *job.Since
		}
		asked := from
		if sequence, found := wanted.offset.of(job.JobID); found {
			from.Resume, from.Recovered = true, true
			from.Position = messaging.Position{Epoch: wanted.offset.epoch, Sequence: sequence}
		}
		sub, err := c.reader.Subscribe(job.JobID, from)
		if err != nil {
			c.gateway.logger.Warn("a subscription cannot be restored", "job", job.JobID, "session", c.socket.ID(), "err", err)
			continue
		}
		c.subscriptions.set(job.JobID, newFollow(job.JobID, sub, asked, true))
	}
}

// session returns the client's session now. The caller holds the mutex.
func (c *client) session() session {
	now := c.head()
	for jobID, followed := range c.subscriptions.all() {
		now.Jobs = append(now.Jobs, followed.job(jobID))
	}
	return now
}

// head returns the client's session without its jobs. The caller holds the mutex.
func (c *client) head() session {
	return session{SID: c.socket.ID(), Life: c.life, By: c.by, Origin: c.socket.Header("Origin"), Subject: c.grant.Subject}
}

// maxSessionBytes bounds the state of a session, below the limit of the store. A larger
// session cannot be recovered; with jobIds of ordinary length it has several hundred jobs.
const maxSessionBytes = 48 << 10

// save stores the session: when it begins, when its subscriptions change, and periodically.
// It is not stored at its end, which a gateway may detect long after the session has
// continued at another. The caller holds the client's mutex.
func (c *client) save() {
	if state := c.state(); state != nil {
		c.gateway.sessions.Save(c.pid, state)
	}
}

// state returns the session as it is stored, or nil if it is not kept. Each job was encoded
// when it was subscribed to, so a change costs at most a copy of maxSessionBytes. The
// caller holds the client's mutex.
func (c *client) state() []byte {
	if c.pid == "" || c.gone {
		return nil
	}
	state, err := json.Marshal(c.head())
	if err != nil {
		return nil // strings and numbers always marshal
	}
	size := len(state) + len(`,"jobs":[]`)
	for _, followed := range c.subscriptions.all() {
		size += len(followed.kept) + 1
	}
	if size > maxSessionBytes || !c.gateway.keep(c, size) {
		c.gateway.keeping.Drop(c.pid)
		c.gateway.sessions.Forget(c.pid)
		return nil
	}
	if c.subscriptions.count() > 0 {
		state = append(append(make([]byte, 0, size), state[:len(state)-1]...), `,"jobs":[`...)
		for _, followed := range c.subscriptions.all() {
			state = append(append(state, followed.kept...), ',')
		}
		state = append(state[:len(state)-1], "]}"...)
	}
	return state
}

// retire removes a socket that has ended from the register. A session that either side has
// ended on purpose is removed from the store; other sessions can be recovered for a while.
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
	switch {
	case !current:
	case final:
		g.keeping.Drop(c.pid)
		g.sessions.Forget(c.pid)
	default:
		g.keeping.Leave(c.pid, time.Now())
	}
}
