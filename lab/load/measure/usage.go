package measure

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"syscall"
	"time"
)

const (
	// tick is how often the watcher asks to be woken; how late it is shows how long
	// the harness waits for a processor.
	tick = 5 * time.Millisecond
	// tooBusy is the share of all processors above which the harness says that it
	// may be the bottleneck, and tooLate how late the watcher may wake, in 99 of 100.
	tooBusy = 0.7
	tooLate = 15 * time.Millisecond
)

// Usage is what the harness took of its machine.
type Usage struct {
	// CPUSeconds is processor time, and Share that of all processors over the time
	// that was watched, from 0 to 1.
	CPUSeconds float64 `json:"cpuSeconds"`
	Share      float64 `json:"cpuShare"`
	Cores      int     `json:"cores"`
	// WakeP99 is how late 99 of 100 timers were at most, in milliseconds: a floor
	// under what latencies can mean here.
	WakeP99 float64 `json:"timerLateP99Ms"`
	// PeakBytes is the most memory the process has had so far.
	PeakBytes int64 `json:"peakMemoryBytes"`
	// Warning says why the figures may be the harness's own; empty when they are not.
	Warning string `json:"warning,omitempty"`
}

// Watcher measures the process it is in.
type Watcher struct {
	began time.Time
	spent time.Duration
	late  *Latency
	stop  context.CancelFunc
	done  sync.WaitGroup
}

// Watch begins to measure, on a goroutine that ends with [Watcher.Stop].
func Watch() *Watcher {
	ctx, stop := context.WithCancel(context.Background())
	w := &Watcher{began: time.Now(), spent: processorTime(), late: NewLatency(), stop: stop}
	w.done.Go(func() { w.run(ctx) })
	return w
}

func (w *Watcher) run(ctx context.Context) {
	timer := time.NewTimer(tick)
	defer timer.Stop()
	for due := time.Now().Add(tick); ; {
		select {
		case <-timer.C:
			w.late.Record(time.Since(due))
			due = time.Now().Add(tick)
			timer.Reset(tick)
		case <-ctx.Done():
			return
		}
	}
}

// Stop ends the measurement and returns what was used.
func (w *Watcher) Stop() Usage {
	w.stop()
	w.done.Wait()
	cores := runtime.GOMAXPROCS(0)
	spent := processorTime() - w.spent
	u := Usage{
		CPUSeconds: spent.Seconds(), Cores: cores, PeakBytes: peakMemory(), WakeP99: w.late.Distribution().P99,
		Share: spent.Seconds() / (time.Since(w.began).Seconds() * float64(cores)),
	}
	u.Warning = warning(u)
	return u
}

func warning(u Usage) string {
	switch {
	case u.Share > tooBusy:
		return fmt.Sprintf("the harness took %.0f %% of %d processors: it may be the bottleneck, and latencies partly its own", 100*u.Share, u.Cores)
	case u.WakeP99 > Ms(tooLate):
		return fmt.Sprintf("the harness waited up to %.0f ms for a processor (99 of 100 timers): latencies include that", u.WakeP99)
	}
	return ""
}

func processorTime() time.Duration {
	usage, err := resources()
	if err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func peakMemory() int64 {
	usage, err := resources()
	if err != nil {
		return 0
	}
	return usage.Maxrss * 1024 // Linux counts in KiB
}

func resources() (syscall.Rusage, error) {
	var usage syscall.Rusage
	err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return usage, err
}
