package ingest

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// ErrNotSubscribed is returned by [Ingest.Connected] while nothing published in
// Redis is heard. The service retries by itself for as long as it runs.
var ErrNotSubscribed = errors.New("not subscribed to Redis")

// connection is the state of the subscription, for health and metrics.
type connection struct {
	mu sync.Mutex // guards the fields below
	// subscribed says that Redis has confirmed, and nothing has failed since.
	subscribed bool
	// gaps counts the subscriptions after the first.
	gaps int
	// everSubscribed is set by the first confirmation.
	everSubscribed bool
	// silentSince is when something was heard last, while not subscribed.
	silentSince time.Time
	// silent is the length of all past outages.
	silent time.Duration
	// failure is why there is no subscription; nil before the first attempt.
	failure error
}

// opened notes a confirmed subscription. It returns how long nothing was heard,
// if this is not the first.
func (c *connection) opened(now time.Time) (outage time.Duration, gap bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.everSubscribed {
		gap = true
		outage = now.Sub(c.silentSince)
		c.gaps++
		c.silent += outage
	}
	c.subscribed, c.everSubscribed, c.failure = true, true, nil
	return outage, gap
}

// failed notes an attempt that came to nothing.
func (c *connection) failed(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failure = cause
}

// lost notes the end of a subscription on which something arrived last at
// lastHeard.
func (c *connection) lost(lastHeard time.Time, cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.subscribed, c.silentSince, c.failure = false, lastHeard, cause
}

// err returns nil while subscribed, and otherwise what keeps it from being so.
func (c *connection) err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.subscribed:
		return nil
	case c.failure == nil:
		return ErrNotSubscribed
	case c.everSubscribed:
		return fmt.Errorf("%w for %s: %w", ErrNotSubscribed, time.Since(c.silentSince).Round(time.Millisecond), c.failure)
	default:
		return fmt.Errorf("%w yet: %w", ErrNotSubscribed, c.failure)
	}
}

// outages returns the number of gaps, and the length of all outages up to now.
func (c *connection) outages() (gaps int, silent time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	silent = c.silent
	if c.everSubscribed && !c.subscribed {
		silent += time.Since(c.silentSince)
	}
	return c.gaps, silent
}
