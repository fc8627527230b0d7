package machine

import (
	"context"
	"runtime"
	"sync/atomic"
	"time"
)

const (
	// processorPace is how often a Processor reads the time that was used.
	processorPace = 100 * time.Millisecond
	// processorBusy is the share of the processors that a busy process uses.
	processorBusy = 0.4
)

// Processor measures how much of its processors this process uses. The zero value is ready,
// and says that they are not busy. Its methods may be called concurrently.
type Processor struct{ busy atomic.Bool }

// Busy reports whether the process used more than 40 % of its processors during the last
// tenth of a second. The rest may be used by other processes, such as clients on the same
// machine; and the more of its processors a process uses, the longer whatever happens next
// waits for one. On systems that do not report the used time, it always returns false.
func (p *Processor) Busy() bool { return p.busy.Load() }

// Run measures until ctx ends.
func (p *Processor) Run(ctx context.Context) error {
	ticker := time.NewTicker(processorPace)
	defer ticker.Stop()
	used, known := processorTime()
	for at := time.Now(); known; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		now := time.Now()
		after, _ := processorTime()
		p.busy.Store(uses(after-used, now.Sub(at), runtime.GOMAXPROCS(0)) > processorBusy)
		used, at = after, now
	}
	<-ctx.Done()
	return ctx.Err()
}

// uses returns the share of processors that was used in a time.
func uses(used, in time.Duration, processors int) float64 {
	return float64(used) / (float64(in) * float64(processors))
}
