package guardrails

import (
	"fmt"
	"math"
	"time"
)

// Rate is how often something may happen. The zero value is no limit.
type Rate struct {
	// PerSecond is the average over a long time; 0 is no limit.
	PerSecond float64
	// Burst is how many may come at once after a quiet time; 0 is what PerSecond
	// gives in one second, and at least 1.
	Burst int
}

// The range of rates keeps a bucket's arithmetic, in whole nanoseconds, exact to
// a tenth of a percent and far from overflow.
const (
	maxPerSecond = 1_000_000
	minPerSecond = 1.0 / 3600
	maxBurst     = 1_000_000
)

// Validate names the field that is out of its range.
func (r Rate) Validate() error {
	switch {
	case r.PerSecond != 0 && !(r.PerSecond >= minPerSecond && r.PerSecond <= maxPerSecond): // catches NaN too
		return fmt.Errorf("rate is %v a second: want 0 (no limit), or one an hour to %d a second", r.PerSecond, maxPerSecond)
	case r.Burst < 0 || r.Burst > maxBurst:
		return fmt.Errorf("burst is %d: want 0 (one second's worth) to %d", r.Burst, maxBurst)
	case r.Burst > 0 && r.PerSecond == 0:
		return fmt.Errorf("burst is %d without a rate: want both", r.Burst)
	}
	return nil
}

// Bucket returns a full bucket for a rate that [Rate.Validate] accepts.
func (r Rate) Bucket() Bucket {
	if r.PerSecond == 0 {
		return Bucket{}
	}
	burst := r.Burst
	if burst == 0 {
		burst = int(math.Ceil(r.PerSecond))
	}
	return Bucket{interval: time.Duration(math.Round(float64(time.Second) / r.PerSecond)), burst: burst}
}

// Bucket is a token bucket: it holds up to a burst of tokens and regains one per interval.
// Its state is the time at which it will be full again (the virtual scheduling form of the
// generic cell rate algorithm, ITU-T I.371), which is exact and needs no work between
// calls.
//
// The zero value refuses nothing. A Bucket belongs to one goroutine, or is guarded by the
// lock of its owner.
type Bucket struct {
	interval time.Duration // 0: no limit
	burst    int
	full     time.Time
}

// Take takes a token. If there is none, it returns false and the time until there is one.
func (b *Bucket) Take(now time.Time) (wait time.Duration, ok bool) {
	if b.interval == 0 {
		return 0, true
	}
	span := time.Duration(b.burst) * b.interval
	owed := b.full.Sub(now)
	switch {
	case owed < 0:
		owed = 0
	case owed > span:
		// The clock went back. The bucket cannot be more than empty.
		owed = span
		b.full = now.Add(span)
	}
	if wait = owed + b.interval - span; wait > 0 {
		return wait, false
	}
	b.full = now.Add(owed + b.interval)
	return 0, true
}
