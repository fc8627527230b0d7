package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/letswriteabook/realtime/ingest"
)

// Letters that cannot be stored hold up no event, and no memory beyond their bound.
func TestLettersThatCannotBeStoredHoldUpNothing(t *testing.T) {
	t.Parallel()
	cfg := quick()
	cfg.MaxPendingLetters = 20
	b := setup(t)
	b.log.mu.Lock()
	b.log.before = func(_ context.Context, jobID string) error {
		if jobID == "" { // a dead letter
			return errPassing
		}
		return nil
	}
	b.log.mu.Unlock()
	g := b.subscribed(t, cfg)
	for n := range 200 {
		b.publish(t, fmt.Sprint("poison ", n))
	}
	b.publish(t, event("job", "good", 1))
	b.log.waitRecords(t, 1)
	if err := g.Letters(); !errors.Is(err, ingest.ErrLettersFail) {
		t.Errorf("letters: %v", err)
	}
	pending, dropped := g.metric(t, "pending_dead_letters"), g.metric(t, "dead_letters_dropped_total")
	if pending > 20 || pending+dropped != 200 {
		t.Errorf("%v letters wait, %v are dropped", pending, dropped)
	}
	b.log.mu.Lock()
	b.log.before = nil
	b.log.mu.Unlock()
	b.log.waitLetters(t, int(pending))
	eventually(t, "letters to be well", func() bool { return g.Letters() == nil })
}
