package guardrails

import (
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

// Decision is the answer to one request. The zero value allows it.
type Decision struct {
	// Code names the limit that was exceeded; empty when the request is allowed.
	Code messaging.Code
	// Limit is the bound and Current how much of it was in use; both zero for a
	// refusal that no figure explains. Of a [Rate] they are the burst and how
	// much of it is spent.
	Limit, Current int
	// RetryAfter is when a retry makes sense; zero when none does.
	RetryAfter time.Duration
	// DryRun marks what would have been refused, and is allowed because
	// [Limits.DryRun] is set. It is there to be counted and logged.
	DryRun bool
}

var allowed = Decision{}

// Allowed reports whether the request may go on. A decision with a code can
// still be one, in a dry run.
func (d Decision) Allowed() bool { return d.Code == "" || d.DryRun }

// Problem returns the refusal as a client is told it.
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
