package projections_test

import (
	"testing"
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

// The high-water mark of the log comes back, and documents beyond the end of the log
// are found, however old the mark is.
func TestHighWater(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if _, _, found, err := b.HighWater(t.Context()); found || err != nil {
		t.Errorf("an empty MongoDB has a mark: %v", err)
	}
	first, second := status(1, "job", "running", "{}"), status(2, "job", "running", "{}")
	b.project(t, newFeed(first))
	at := time.Date(2026, 1, 2, 3, 4, 5, 678_901_234, time.UTC)
	if err := b.NoteHighWater(t.Context(), first.Position, at); err != nil {
		t.Fatal(err)
	}
	if mark, when, found, err := b.HighWater(t.Context()); mark != first.Position || !when.Equal(at) || !found || err != nil {
		t.Errorf("mark = %v, %v, %v, %v", mark, when, found, err)
	}
	b.project(t, newFeed(second))
	for end, want := range map[messaging.Position]uint64{
		{Epoch: second.Epoch, Sequence: 2}: 0,
		first.Position:                     2,
		{Epoch: second.Epoch}:              2,
		{Epoch: "another"}:                 0,
	} {
		if beyond, err := b.Beyond(t.Context(), end); beyond != want || err != nil {
			t.Errorf("beyond %v: %d, %v, want %d", end, beyond, err, want)
		}
	}
}
