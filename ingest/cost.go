package ingest

import "time"

// cost estimates what a batch and what single appends take, to choose the cheaper for
// the events at hand. A batch has a price of its own, as a server stages it on disk
// first: 16 events are worth it where each append is synced, and about 100 where none is.
// It belongs to the writer.
type cost struct {
	// perBatch is what a batch takes beside its events, and perSingle what an event
	// takes in a round of single appends; moving averages.
	perBatch, perSingle time.Duration
}

const (
	// perBatched is about what an event takes in a batch.
	perBatched = 25 * time.Microsecond
	// largestRound bounds the rounds of single appends where there are batches.
	largestRound = 256
	// weight is that of the past in the averages.
	weight = 8
)

// newCost returns the estimate to begin with.
func newCost() cost {
	return cost{perBatch: time.Millisecond, perSingle: 60 * time.Microsecond}
}

// batch takes in what a batch has taken.
func (c *cost) batch(events int, took time.Duration) {
	own := max(took-time.Duration(events)*perBatched, 0)
	c.perBatch += (own - c.perBatch) / weight
}

// round takes in what a round of single appends has taken. Small rounds say nothing:
// their time is that of the way to the log and back.
func (c *cost) round(events int, took time.Duration) {
	if events < 4 {
		return
	}
	c.perSingle += (took/time.Duration(events) - c.perSingle) / weight
}

// smallestBatch returns how many events are cheaper in a batch than one by one.
func (c *cost) smallestBatch() int {
	more := max(c.perSingle-perBatched, 5*time.Microsecond)
	return min(max(int(c.perBatch/more), minBatch), largestRound)
}
