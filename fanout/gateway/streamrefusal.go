package gateway

import (
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/letswriteabook/realtime/guardrails"
	"github.com/letswriteabook/realtime/messaging"
)

// An EventSource treats every status except 200 as final and does not reconnect (HTML
// Living Standard, section 9.2.3). A temporary refusal is therefore answered with a stream
// that says when to reconnect, and ends:
//
//	retry: 2741\n
//	\n
//	event: novel.error\n
//	data: {…}\n
//	\n
//
// Clients that request JSON, and can read a status, get a status.

// drainRetry is the shortest time after which a stream refused by a draining gateway
// reconnects, because a balancer needs a moment to route it elsewhere. The longest is twice
// as long.
const drainRetry = time.Second

// StreamsUntil serves event streams until draining reports that the gateway is draining.
func (g *Gateway) StreamsUntil(draining func() bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !draining() {
			g.ServeStream(w, r)
			return
		}
		if !g.allowOrigin(w, r) {
			return
		}
		retry := drainRetry + rand.N(drainRetry)
		if takesStatus(r) {
			w.Header().Set("Retry-After", "1")
			writeProblem(w, http.StatusServiceUnavailable, messaging.NewProblem(messaging.CodeInternal))
			return
		}
		endStream(w, retry, nil)
	})
}

// refuseStream is the [refuser] of streams. Refusals that a retry cannot solve keep their
// status.
func refuseStream(w http.ResponseWriter, r *http.Request, decision guardrails.Decision, jobID string) {
	switch status := statusOf(decision.Code); {
	case status == http.StatusForbidden, status == http.StatusUnauthorized, takesStatus(r):
		refuseRequest(w, r, decision, jobID)
		return
	}
	problem := problemOf(decision, jobID)
	retry := drainRetry + rand.N(drainRetry)
	if problem.RetryAfterMs != nil {
		retry = time.Duration(*problem.RetryAfterMs) * time.Millisecond // jittered
	}
	endStream(w, retry, &problem)
}

// takesStatus reports whether a client can use the status of a refused stream: it requests
// JSON and not events.
func takesStatus(r *http.Request) bool {
	accept := strings.ToLower(strings.Join(r.Header.Values("Accept"), ","))
	return strings.Contains(accept, "application/json") && !strings.Contains(accept, "text/event-stream")
}

// endStream answers with a stream that says when to reconnect and, if there is a problem,
// why.
func endStream(w http.ResponseWriter, retry time.Duration, problem *messaging.Problem) {
	setStreamHeaders(w.Header())
	block := strconv.AppendInt([]byte("retry: "), retry.Milliseconds(), 10)
	block = append(block, "\n\n"...)
	if problem != nil {
		if encoded, err := json.Marshal(problem); err == nil { // strings and numbers always marshal
			block = append(block, streamBlock(messaging.EventError, messaging.Position{}, encoded)...)
		}
	}
	_, _ = w.Write(block)
}
