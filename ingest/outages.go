package ingest

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// ErrNotSubscribed is returned by [Ingest.Connected] while messages published in Redis are
// not received. The service retries for as long as it runs.
var ErrNotSubscribed = errors.New("not subscribed to Redis")

// outages records when the gateway was subscribed to Redis, for health and metrics.
type outages struct {
	mu sync.Mutex // guards the fields below
	// subscribed is true if Redis has confirmed the subscription and it has not failed
	// since.
	subscribed bool
	// gaps counts the subscriptions after the first.
	gaps int
	// everSubscribed is set by the first confirmation.
	everSubscribed bool
	// silentSince is when something was last received, while not subscribed.
	silentSince time.Time
	// silent is the total length of the past outages.
	silent time.Duration
	// failure is why there is no subscription; nil before the first attempt.
	failure error
}

// opened records a confirmed subscription. For all but the first it returns how long
// nothing was received.
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

// failed records a failed attempt to subscribe.
func (o *outages) failed(cause error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.failure = cause
}

// lost records the end of a subscription on which something last arrived at lastReceived.
func (o *outages) lost(lastReceived time.Time, cause error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.subscribed, o.silentSince, o.failure = false, lastReceived, cause
}

// err returns nil while subscribed, and otherwise why there is no subscription.
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

// totals returns the number of gaps and the total length of all outages up to now.
func (o *outages) totals() (gaps int, silent time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	silent = o.silent
	if o.everSubscribed && !o.subscribed {
		silent += time.Since(o.silentSince)
	}
	return o.gaps, silent
}
