package ingest

import "testing"

// A canary whose answer Redis has not accepted has a failure: the ingest is not held up.
func TestCanaryWhoseAnswerIsNotTaken(t *testing.T) {
	t.Parallel()
	for _, taken := range []bool{true, false} {
		c := newCanaries()
		c.launch("text")
		if !c.begin() {
			t.Fatal("no place for a canary")
		}
		c.reach("text", stageStored, nil)
		c.answered("text", taken)
		if _, failure := c.landed(); (failure == nil) != taken {
			t.Errorf("taken %t: failure %v", taken, failure)
		}
	}
}
