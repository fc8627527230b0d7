package machine

import (
	"context"
	"runtime"
	"runtime/metrics"
	"time"
)

// The Go runtime collects garbage when the heap has doubled, and every two minutes. After
// a load has ended, a process allocates slowly, so that for minutes it holds the memory that
// the load took: garbage, and pools of the libraries below it, which two collections empty.
const (
	// collectPace is how often CollectIdle looks at the heap.
	collectPace = 5 * time.Second
	// collectPause is the shortest time between its collections after two loads.
	collectPause = time.Minute
	// collectAgain is when it collects once more after a load: by then caches have released
	// what they keep for some seconds.
	collectAgain = 12 * time.Second
	// collectAhead is how far away the runtime's own next collection has to be.
	collectAhead = 10 * time.Second
	// collectCycles is how many collections of the runtime make a load.
	collectCycles = 4
	// collectLeast is the size of a heap, in bytes, that is left to the runtime.
	collectLeast = 32 << 20
)

// CollectIdle collects garbage after a load has ended, until ctx ends. The runtime returns
// the memory to the system in the background.
func CollectIdle(ctx context.Context) { collectIdle(ctx, collectPace, collectAgain) }

func collectIdle(ctx context.Context, pace, again time.Duration) {
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	for c := (collector{pace: pace, again: again, before: readHeap()}); ; {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if c.due(readHeap(), time.Now()) {
			runtime.GC() // moves what pools hold to where the next one frees it
			runtime.GC()
			c.collected(readHeap(), time.Now())
		}
	}
}

// collector decides when CollectIdle collects.
type collector struct {
	pace, again time.Duration
	before      heap // at the last look
	// at is when it collected last, and cycles how many collections of the runtime there were
	// then.
	at     time.Time
	cycles uint64
	loaded bool // there was a load before the present look
	once   bool // something was collected after a load, and not again since
}

// due looks at the heap, and reports whether to collect now.
func (c *collector) due(now heap, at time.Time) bool {
	c.loaded = now.cycles-c.cycles >= collectCycles && at.Sub(c.at) >= collectPause
	due := c.loaded || c.once && at.Sub(c.at) >= c.again
	due = due && now.idle(now.allocated-c.before.allocated, c.pace)
	c.before = now
	return due
}

// collected notes that the heap was collected.
func (c *collector) collected(now heap, at time.Time) {
	c.before, c.at, c.cycles, c.once = now, at, now.cycles, c.loaded
}

// heap is the state of the Go heap. Sizes are in bytes.
type heap struct {
	cycles    uint64 // collections that the runtime began
	allocated uint64 // since the start of the process
	objects   uint64 // reachable, or not collected yet
	free      uint64 // not used, and not returned to the system
	goal      uint64 // of objects, at which the runtime collects
}

func readHeap() heap {
	samples := []metrics.Sample{
		{Name: "/gc/cycles/automatic:gc-cycles"},
		{Name: "/gc/heap/allocs:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
		{Name: "/gc/heap/goal:bytes"},
	}
	metrics.Read(samples)
	value := func(i int) uint64 {
		if samples[i].Value.Kind() != metrics.KindUint64 {
			return 0 // unknown to this version of the runtime
		}
		return samples[i].Value.Uint64()
	}
	return heap{cycles: value(0), allocated: value(1), objects: value(2), free: value(3), goal: value(4)}
}

// idle reports whether the heap is large, and the runtime does not collect soon at the rate
// of what was allocated in a time.
func (h heap) idle(allocated uint64, in time.Duration) bool {
	if h.objects+h.free < collectLeast || h.goal <= h.objects {
		return false
	}
	return float64(h.goal-h.objects)*in.Seconds() > float64(allocated)*collectAhead.Seconds()
}
