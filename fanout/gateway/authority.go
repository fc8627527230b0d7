package gateway

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/letswriteabook/realtime/fanout/socketio"
	"github.com/letswriteabook/realtime/guardrails"
	"github.com/letswriteabook/realtime/messaging"
)

// Tokens returns what a bearer token grants. Its methods may be called
// concurrently.
type Tokens interface {
	// FromRequest returns the token of a request's Authorization header, empty
	// without one.
	FromRequest(r *http.Request) string
	// Grant returns what a token grants; an empty token grants nothing. It may wait a short
	// time for the issuer's keys. The decision says why there is no grant.
	Grant(token string, now time.Time) (guardrails.Grant, guardrails.Decision)
}

// grant returns what a client may do. If tokens are disabled, every client may do
// everything.
func (g *Gateway) grant(token string) (guardrails.Grant, guardrails.Decision) {
	if g.tokens == nil {
		return guardrails.Open(), guardrails.Decision{}
	}
	return g.tokens.Grant(token, time.Now())
}

// socketGrant returns the grant of the token in a CONNECT: auth.token, or else the token in
// the handshake's Authorization header. A token in the address is ignored.
func (g *Gateway) socketGrant(socket *socketio.Socket, auth json.RawMessage) (guardrails.Grant, guardrails.Decision) {
	if g.tokens == nil {
		return g.grant("")
	}
	var named struct {
		Token string `json:"token"`
	}
	if json.Unmarshal(auth, &named) != nil || named.Token == "" {
		named.Token = g.tokens.FromRequest(socket.Request())
	}
	return g.grant(named.Token)
}

// watchExpiry sets the timer of the client's token: the client is warned before the token
// expires, and disconnected when it has expired. The caller holds the mutex.
func (c *client) watchExpiry() {
	warnIn, endIn := c.grant.Expiry(time.Now())
	if endIn == guardrails.Never {
		return
	}
	c.warned = false
	if c.expiry == nil {
		c.expiry = time.AfterFunc(warnIn, c.checkExpiry)
		return
	}
	c.expiry.Reset(warnIn)
}

// checkExpiry is called by the timer. It may be running when the timer is set again for a
// new token.
func (c *client) checkExpiry() {
	defer c.gateway.hub.Guard().Recover("client timer", c.sink.Abort)
	if c.expired() {
		c.close(guardrails.Decision{Code: messaging.CodeTokenExpired})
	}
}

// expired reports whether the token of a connected client has expired. If not, it warns the
// client if the time has come, and sets the timer again.
func (c *client) expired() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	warnIn, endIn := c.grant.Expiry(time.Now())
	switch {
	case c.gone:
		return false
	case warnIn > 0:
		c.warned = false
		c.expiry.Reset(warnIn)
		return false
	case !c.warned:
		c.warned = true
		c.emit(messaging.EventError, messaging.NewProblem(messaging.CodeTokenExpiring))
	}
	if endIn > 0 {
		c.expiry.Reset(endIn)
	}
	return endIn == 0
}

// refresh replaces the token of a connected client. The new token must have the same
// subject; the client leaves the jobs that it no longer grants.
func (c *client) refresh(args []json.RawMessage, ack socketio.Ack) {
	var token string
	_ = json.Unmarshal(object(args)["token"], &token) // a value that is not a string is ignored
	grant, decision := c.gateway.grant(token)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		return
	}
	if decision.Allowed() && grant.Subject != c.grant.Subject {
		decision = guardrails.Decision{Code: messaging.CodeTokenInvalid}
	}
	if !decision.Allowed() {
		c.refuse(decision.Problem(), ack)
		return
	}
	c.grant = grant
	for jobID, followed := range c.subscriptions.all() {
		if decision := grant.Follow(jobID); !decision.Allowed() {
			c.drop(jobID, followed)
			c.refuse(problemOf(decision, jobID), nil)
		}
	}
	c.save()
	c.watchExpiry()
	if ack != nil {
		_ = ack(struct {
			OK bool `json:"ok"`
		}{true})
	}
}

// problemOf returns the problem that a client is sent for a decision about one job.
func problemOf(decision guardrails.Decision, jobID string) messaging.Problem {
	problem := decision.Problem()
	problem.JobID = jobID
	return problem
}

// allowJob decides about an HTTP request for one job. If it is refused, allowJob answers it
// with refuse.
func (g *Gateway) allowJob(w http.ResponseWriter, r *http.Request, jobID string, refuse refuser) (guardrails.Grant, bool) {
	if g.tokens == nil {
		return guardrails.Open(), true
	}
	grant, decision := g.grant(g.tokens.FromRequest(r))
	if decision.Allowed() {
		decision = grant.Follow(jobID)
	}
	if decision.Allowed() {
		return grant, true
	}
	g.count(decision, r.Header.Get("Origin"))
	refuse(w, r, decision, jobID)
	return grant, false
}

// refuser answers a refused HTTP request. The refusal is about a job unless jobID is empty.
type refuser func(w http.ResponseWriter, r *http.Request, decision guardrails.Decision, jobID string)

// statusOf returns the status of a refused request.
func statusOf(code messaging.Code) int {
	switch code {
	case messaging.CodeOriginNotAllowed, messaging.CodeJobForbidden, messaging.CodeScopeRequired:
		return http.StatusForbidden
	case messaging.CodeTokenRequired, messaging.CodeTokenInvalid, messaging.CodeTokenExpired:
		return http.StatusUnauthorized
	case messaging.CodeAddressConnectionsExceeded, messaging.CodeSubjectConnectionsExceeded, messaging.CodeConnectionRateExceeded,
		messaging.CodeClientRequestsExceeded, messaging.CodeRequestRateExceeded:
		return http.StatusTooManyRequests
	}
	return http.StatusServiceUnavailable
}

// refuseRequest is the [refuser] for requests whose clients read the status.
func refuseRequest(w http.ResponseWriter, _ *http.Request, decision guardrails.Decision, jobID string) {
	status := statusOf(decision.Code)
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	problem := problemOf(decision, jobID)
	if problem.RetryAfterMs != nil {
		w.Header().Set("Retry-After", strconv.Itoa((*problem.RetryAfterMs+999)/1000)) // in seconds
	}
	writeProblem(w, status, problem)
}
