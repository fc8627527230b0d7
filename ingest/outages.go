package ingest

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// ErrNotSubscribed is returned by [Ingest.Connected] while nothing published in
// Redis is received. The service retries by itself for as long as it runs.
var ErrNotSubscribed = errors.New("not subscribed to Redis")

// outages records when the gateway was subscribed to Redis and when it was not, for
// health and metrics.
type outages struct {
	mu sync.Mutex // guards the fields below
	// subscribed says that Redis has confirmed, and nothing has failed since.
	subscribed bool
	// gaps counts the subscriptions after the first.
	gaps int
	// everSubscribed is set by the first confirmation.
	everSubscribed bool
	// silentSince is when something was received last, while not subscribed.
	silentSince time.Time
	// silent is the length of all past outages.
	silent time.Duration
	// failure is why there is no subscription; nil before the first attempt.
	failure error
}

// opened notes a confirmed subscription. It returns how long nothing was received,
// if this is not the first.
func (o *outages) opened(now time.Time) (outage time.Duration, gap bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.everSubscribed {
		gap = true
		outage = now.Sub(o.silentSince)
		o.gaps++
		o.silent += outage
	}
	o.subscribed, o.everSubscribed, o.failure = true, true, nil
	return outage, gap
}

// failed notes an attempt that came to nothing.
func (o *outages) failed(cause error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.failure = cause
}

// lost notes the end of a subscription on which something arrived last at
// lastReceived.
func (o *outages) lost(lastReceived time.Time, cause error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.subscribed, o.silentSince, o.failure = false, lastReceived, cause
}

// err returns nil while subscribed, and otherwise what keeps it from being so.
func (o *outages) err() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.subscribed:
		return nil
	case o.failure == nil:
		return ErrNotSubscribed
	case o.everSubscribed:
		return fmt.Errorf("%w for %s: %w", ErrNotSubscribed, time.Since(o.silentSince).Round(time.Millisecond), o.failure)
	default:
		return fmt.Errorf("%w yet: %w", ErrNotSubscribed, o.failure)
	}
}

// totals returns the number of gaps, and the length of all outages up to now.
func (o *outages) totals() (gaps int, silent time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	silent = o.silent
	if o.everSubscribed && !o.subscribed {
		silent += time.Since(o.silentSince)
	}
	return o.gaps, silent
}
