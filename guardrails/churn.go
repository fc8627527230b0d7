package guardrails

import (
	"sync"
	"time"
)

// The bounds of a [Churn].
const (
	// churnPerSecond and churnBurst are how many requests and short connections of one client
	// are ordinary, such as those of a page that loads, or of a crowd behind one address that
	// reconnects.
	churnPerSecond, churnBurst = 30, 300
	// slowedPerSecond and slowedBurst are the rate within which a slowed client has to stay
	// for churnQuiet until it is slowed no more. It is lower: a client that sends its next
	// request when the last one is answered sends about five a second while each one waits.
	slowedPerSecond, slowedBurst = 3, 10
	churnQuiet                   = 10 * time.Second
	// churnWait is about how long each request of a slowed client waits.
	churnWait = 200 * time.Millisecond
)

// ChurnLife is how long a connection, or the membership of a namespace, has to last in
// order not to count as a short one.
const ChurnLife = time.Second

// Churn decides which clients are slowed down for the benefit of the others. A client that
// sends many requests, or opens many connections that end soon, is slowed down if the
// processors are busy at that time, and remains so until it has stayed within a low rate
// for 10 s. It is not refused, because others may share its address; what counts is
// the rate and not silence, because the open connections of those others never fall silent.
// Its methods may be called concurrently.
type Churn struct {
	busy func() bool // nil: nobody is slowed down

	mu      sync.Mutex // guards clients
	clients latest[churning]
}

type churning struct {
	bucket Bucket
	until  time.Time // the client is slowed down
	slowed Bucket    // in place of bucket while it is
}

// NewChurn returns a Churn to which nothing was noted. busy reports whether the processors
// are busy.
func NewChurn(busy func() bool) *Churn {
	return &Churn{busy: busy, clients: newLatest[churning]()}
}

// Note counts a request that was answered, or something else that ended before it was
// [ChurnLife] old.
func (c *Churn) Note(client string, now time.Time) {
	if c.busy == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	known := c.clients.use(client, churning{bucket: Rate{PerSecond: churnPerSecond, Burst: churnBurst}.Bucket()})
	if now.Before(known.until) {
		if _, low := known.slowed.Take(now); !low {
			known.until = now.Add(churnQuiet) // it may be why the processors are not busy any more
		}
		return
	}
	if _, ordinary := known.bucket.Take(now); !ordinary && c.busy() {
		known.until = now.Add(churnQuiet)
		known.slowed = Rate{PerSecond: slowedPerSecond, Burst: slowedBurst}.Bucket()
	}
}

// Slowed reports whether a client is slowed down.
func (c *Churn) Slowed(client string, now time.Time) bool {
	if c.busy == nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	known := c.clients.find(client)
	return known != nil && now.Before(known.until)
}

// Wait returns how long a request of a client is to wait; 0 if the client is not slowed
// down. jitter, in [0, 1), spreads the requests of many connections over 100 to 300 ms.
func (c *Churn) Wait(client string, now time.Time, jitter float64) time.Duration {
	if !c.Slowed(client, now) {
		return 0
	}
	return time.Duration((0.5 + jitter) * float64(churnWait))
}
