package ingest

import "time"

// cost estimates how long a batch and single appends take, to choose the cheaper way for
// the events at hand. A batch has a fixed price, because a server stages it on disk first:
// a batch pays for 16 events where each append is synced, and for about 100 where no append
// is. A cost belongs to the writer.
type cost struct {
	// perBatch is the fixed time of a batch, and perSingle is the time of one event in a
	// round of single appends. Both are moving averages.
	perBatch, perSingle time.Duration
}

const (
	// perBatched is about the time that one event adds to a batch.
	perBatched = 25 * time.Microsecond
	// largestRound bounds the rounds of single appends if the log takes batches.
	largestRound = 256
	// weight is the weight of the past in the averages.
	weight = 8
)

// newCost returns the initial estimate.
func newCost() cost {
	return cost{perBatch: time.Millisecond, perSingle: 60 * time.Microsecond}
}

// batch adds the duration of a batch to the averages.
func (c *cost) batch(events int, took time.Duration) {
	own := max(took-time.Duration(events)*perBatched, 0)
	c.perBatch += (own - c.perBatch) / weight
}

// round adds the duration of a round of single appends to the averages. It ignores small
// rounds, whose duration is that of one round trip to the log.
func (c *cost) round(events int, took time.Duration) {
	if events < 4 {
		return
	}
	c.perSingle += (took/time.Duration(events) - c.perSingle) / weight
}

// smallestBatch returns the number of events from which a batch is cheaper than single
// appends.
func (c *cost) smallestBatch() int {
	more := max(c.perSingle-perBatched, 5*time.Microsecond)
	return min(max(int(c.perBatch/more), minBatch), largestRound)
}
