package guardrails

import (
	"cmp"
	"sync"
	"sync/atomic"
	"time"
)

// Intake decides how fast the bytes of one connection are read. Nothing of it is
// refused: a client that sends faster is read from more slowly. Its methods may be
// called concurrently.
type Intake struct {
	perSecond, burst int64

	mu sync.Mutex // guards full
	// full is when everything that was read is paid for, as with [Bucket].
	full time.Time
}

// NewIntake returns the intake of a connection that has sent nothing.
func NewIntake(limits Limits) *Intake {
	return &Intake{perSecond: int64(limits.BytesPerSecond), burst: int64(cmp.Or(limits.ByteBurst, limits.BytesPerSecond))}
}

// Spend notes that bytes were read, and returns for how long nothing more is to be
// read from the client; zero or less means that more may be.
func (i *Intake) Spend(bytes int, now time.Time) (wait time.Duration) {
	if i.perSecond == 0 {
		return 0
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	// A clock that goes back makes no client wait longer than an empty intake does.
	owed := min(max(i.full.Sub(now), 0), i.lasts(i.burst)) + i.lasts(int64(bytes))
	i.full = now.Add(owed)
	return owed - i.lasts(i.burst)
}

// lasts is the time that a number of bytes takes at the rate.
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
	limits atomic.Pointer[Limits]
	left   returned[*Intake]
}

// NewIntakes returns intakes for connections under these limits.
func NewIntakes(limits Limits) *Intakes {
	i := &Intakes{left: newReturned[*Intake]()}
	i.limits.Store(&limits)
	return i
}

// SetLimits replaces the limits for connections to come, as [Quotas.SetLimits] does.
func (i *Intakes) SetLimits(limits Limits) {
	if before := i.limits.Swap(&limits); before.BytesPerSecond != limits.BytesPerSecond || before.ByteBurst != limits.ByteBurst {
		i.left.forget()
	}
}

// Take returns the intake for a connection of an owner: of those that the owner's
// earlier connections returned the one that is furthest from full, or a full one.
func (i *Intakes) Take(owner string, now time.Time) *Intake {
	if intake, found := i.left.take(owner, now); found {
		return intake
	}
	return NewIntake(*i.limits.Load())
}

// Return takes the intake of a connection that has ended.
func (i *Intakes) Return(owner string, intake *Intake, now time.Time) {
	i.left.put(owner, intake, now)
}
