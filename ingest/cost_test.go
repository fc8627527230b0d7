package ingest

import (
	"testing"
	"time"
)

// The estimate follows the durations of batches and rounds, and recovers after a stall.
func TestCostFindsTheCheaperWrite(t *testing.T) {
	t.Parallel()
	run := func(c *cost, perBatch, perSingle time.Duration) int {
		for range 60 {
			if events := 40; events >= c.smallestBatch() {
				c.batch(events, perBatch+time.Duration(events)*perBatched)
			} else {
				c.round(events, time.Duration(events)*perSingle)
			}
			c.round(10, 10*perSingle) // Small rounds are never batches.
			c.batch(1000, perBatch+1000*perBatched)
		}
		return c.smallestBatch()
	}
	c := newCost()
	if got := run(&c, 5*time.Millisecond, 400*time.Microsecond); got != minBatch {
		t.Errorf("each append synced: batches from %d events on, want %d", got, minBatch)
	}
	c = newCost()
	if got := run(&c, 5*time.Millisecond, 80*time.Microsecond); got < 70 || got > 110 {
		t.Errorf("no append synced: batches from %d events on, want about 90", got)
	}
	c.batch(16, 10*time.Second)
	if got := c.smallestBatch(); got != largestRound {
		t.Errorf("after a stall: batches from %d events on, want %d", got, largestRound)
	}
	if got := run(&c, 5*time.Millisecond, 80*time.Microsecond); got < 70 || got > 130 {
		t.Errorf("a while after a stall: batches from %d events on, want about 90", got)
	}
}
