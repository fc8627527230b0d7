package guardrails

import (
	"cmp"
	"sync"
	"time"
)

// Intake decides how fast the bytes of one connection are read. It refuses nothing: a
// client that sends faster is read more slowly. Its methods may be called concurrently.
type Intake struct {
	perSecond, burst int64

	mu sync.Mutex // guards full
	// full is when the bytes read so far are within the rate, as in [Bucket].
	full time.Time
}

// NewIntake returns the intake of a connection that has sent nothing.
func NewIntake(limits Limits) *Intake {
	return &Intake{perSecond: int64(limits.BytesPerSecond), burst: int64(cmp.Or(limits.ByteBurst, limits.BytesPerSecond))}
}

// Spend counts bytes that were read and returns how long to wait before reading more; zero
// or less means that more may be read now.
func (i *Intake) Spend(bytes int, now time.Time) (wait time.Duration) {
	if i.perSecond == 0 {
		return 0
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	// If the clock goes back, no client waits longer than it would with an empty intake.
	owed := min(max(i.full.Sub(now), 0), i.lasts(i.burst)) + i.lasts(int64(bytes))
	i.full = now.Add(owed)
	return owed - i.lasts(i.burst)
}

// lasts returns how long bytes take at the rate.
func (i *Intake) lasts(bytes int64) time.Duration {
	return time.Duration(float64(bytes) / float64(i.perSecond) * float64(time.Second))
}

func (i *Intake) owes(now time.Time) time.Duration {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.full.Sub(now)
}

// Intakes hands out the intakes of connections, as [Quotas] does the quotas. Its
// methods may be called concurrently.
type Intakes struct {
	left returned[*Intake]
}

// NewIntakes returns an Intakes to which nothing was returned.
func NewIntakes() *Intakes { return &Intakes{left: newReturned[*Intake]()} }

// Take returns an intake under these limits for a connection of an owner. It starts with
// the usage of the owner's earlier connection that is furthest from full.
func (i *Intakes) Take(owner string, limits Limits, now time.Time) *Intake {
	intake := NewIntake(limits)
	if left, found := i.left.take(owner, now); found {
		left.mu.Lock()
		defer left.mu.Unlock()
		intake.full = left.full
	}
	return intake
}

// Return takes the intake of a connection that has ended.
func (i *Intakes) Return(owner string, intake *Intake, now time.Time) {
	i.left.put(owner, intake, now)
}
