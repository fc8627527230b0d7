package guardrails

import (
	"cmp"
	"sync"
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
	left returned[*Intake]
}

// NewIntakes returns an Intakes to which nothing was returned.
func NewIntakes() *Intakes { return &Intakes{left: newReturned[*Intake]()} }

// Take returns an intake under these limits for a connection of an owner. It has used up
// as much as that of the owner's earlier connections which is furthest from full.
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
