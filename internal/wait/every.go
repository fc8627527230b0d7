package wait

import (
	"context"
	"time"
)

// Every calls do at each interval, on a goroutine of its own, until do returns false or end
// is called. end returns once that goroutine has ended, and may be called again. A call of
// do that takes longer than the interval delays the next one. Every does not contain panics.
func Every(interval time.Duration, do func() (again bool)) (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { // ends with end, or when do returns false
		defer close(ended)
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			if ctx.Err() != nil || !do() {
				return
			}
		}
	}()
	return func() {
		cancel()
		<-ended
	}
}
