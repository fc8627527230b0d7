package guardrails

import (
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

const (
	codeConnections   = messaging.CodeMaxConnectionsExceeded
	codePerOrigin     = messaging.CodeOriginConnectionsExceeded
	codeOrigin        = messaging.CodeOriginNotAllowed
	codeSubscriptions = messaging.CodeSubscriptionLimitReached
)

// Decision is the answer to one request. The zero value allows it.
type Decision struct {
	// Code names the limit that refused; empty when the request is allowed.
	Code messaging.Code
	// Limit is the bound and Current how much of it was in use; both zero for a
	// refusal that no figure explains.
	Limit, Current int
	// RetryAfter is when a retry makes sense; zero when none does.
	RetryAfter time.Duration
}

var allowed = Decision{}

func refused(code messaging.Code, limit, current int) Decision {
	return Decision{Code: code, Limit: limit, Current: current}
}

// Allowed reports whether the request may go on.
func (d Decision) Allowed() bool { return d.Code == "" }

// Problem returns the refusal as a client is told it.
func (d Decision) Problem() messaging.Problem {
	problem := messaging.NewProblem(d.Code)
	if d.Limit > 0 {
		problem.Limit, problem.Current = &d.Limit, &d.Current
	}
	if d.RetryAfter > 0 {
		ms := int(d.RetryAfter.Milliseconds())
		problem.RetryAfterMs = &ms
	}
	return problem
}

// retryBase is the shortest wait that a refused client is advised.
const retryBase = time.Second

// jittered spreads the advised wait evenly over one to two times base, so that
// clients refused together do not come back together. jitter is in [0, 1).
func jittered(base time.Duration, jitter float64) time.Duration {
	return base + time.Duration(jitter*float64(base))
}
