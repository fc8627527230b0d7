package outage

import "time"

// Calm is how long nothing fails before an outage counts as over. What fails and works in
// turn would otherwise begin and end an outage each time, as a log that is full and whose
// records go by their age.
const Calm = 15 * time.Second

// Outage is a time of failures, with successes between them. Its zero value is no outage.
// It is not safe for concurrent use.
type Outage struct {
	// began is when the first failure was, zero without an outage, and last when the last
	// one was.
	began, last time.Time
	// succeeded says that there was a success after the last failure.
	succeeded bool
	failures  int
}

// Fail notes a failure, and reports whether an outage begins with it.
func (o *Outage) Fail(now time.Time) (begins bool) {
	if begins = o.began.IsZero(); begins {
		o.began = now
	}
	o.last, o.succeeded = now, false
	o.failures++
	return begins
}

// Succeed notes a success, and reports whether it is the first after a failure of an outage.
func (o *Outage) Succeed() (first bool) {
	first = o.Lasts() && !o.succeeded
	o.succeeded = true
	return first
}

// Lasts reports whether there is an outage.
func (o *Outage) Lasts() bool { return !o.began.IsZero() }

// Over ends an outage after which nothing has failed for [Calm], and something has succeeded.
// It returns how long the outage lasted, and how often something failed in it.
func (o *Outage) Over(now time.Time) (ended bool, lasted time.Duration, failures int) {
	if !o.Lasts() || !o.succeeded || now.Sub(o.last) < Calm {
		return false, 0, 0
	}
	lasted, failures = o.last.Sub(o.began), o.failures
	*o = Outage{}
	return true, lasted, failures
}
