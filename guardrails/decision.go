package guardrails

import (
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

// Decision is the answer to one request. The zero value allows it.
type Decision struct {
	// Code names the limit that was exceeded; empty when the request is allowed.
	Code messaging.Code
	// Limit is the bound and Current is how much of it was in use; both are zero for a
	// refusal that has no figures. For a [Rate] they are the burst and how much of it was
	// used.
	Limit, Current int
	// RetryAfter is the time after which a retry may succeed; zero if none will.
	RetryAfter time.Duration
	// DryRun is set if the request exceeds a limit and is allowed because [Limits.DryRun] is
	// set. The caller counts and logs it.
	DryRun bool
}

var allowed = Decision{}

// Allowed reports whether the request may proceed. In a dry run, it may even if the
// decision has a code.
func (d Decision) Allowed() bool { return d.Code == "" || d.DryRun }

// Problem returns the refusal in the form that is sent to a client.
func (d Decision) Problem() messaging.Problem {
	problem := messaging.NewProblem(d.Code)
	if d.Limit > 0 {
		problem.Limit, problem.Current = &d.Limit, &d.Current
	}
	if d.RetryAfter > 0 {
		// Rounded up: a client that retries too early would be refused again.
		ms := int((d.RetryAfter + time.Millisecond - 1) / time.Millisecond)
		problem.RetryAfterMs = &ms
	}
	return problem
}

// retryBase is the shortest wait that a refused connection is advised. The
// slowest connection rate, one a second, has room again after it.
const retryBase = time.Second

// jittered spreads the advised wait evenly over one to two times base, so that
// clients that are refused together do not retry together. jitter is in [0, 1).
func jittered(base time.Duration, jitter float64) time.Duration {
	return base + time.Duration(jitter*float64(base))
}
