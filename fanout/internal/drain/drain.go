package drain

import (
	"context"
	"math/rand/v2"
	"time"
)

// Each ends every item, in random order and spread evenly over the period. It shuffles
// the slice, and returns when it has ended all, or with ctx.
func Each[T any](ctx context.Context, items []T, period time.Duration, end func(T)) {
	if len(items) == 0 {
		return
	}
	rand.Shuffle(len(items), func(i, j int) { items[i], items[j] = items[j], items[i] })
	began, pause := time.Now(), period/time.Duration(len(items))
	timer := time.NewTimer(0)
	defer timer.Stop()
	for i, item := range items {
		// Against the begin, so that the pauses do not add up to more.
		timer.Reset(time.Until(began.Add(time.Duration(i) * pause)))
		select {
		case <-timer.C:
			end(item)
		case <-ctx.Done():
			return
		}
	}
}
