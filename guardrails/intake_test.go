package guardrails_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/letswriteabook/realtime/guardrails"
)

func TestIntake(t *testing.T) {
	t.Parallel()
	intake := guardrails.NewIntake(guardrails.Limits{BytesPerSecond: 1000, ByteBurst: 3000})
	for _, step := range []struct {
		at    time.Duration
		bytes int
		wait  time.Duration
	}{
		{0, 3000, 0},
		{0, 500, 500 * time.Millisecond},
		{500 * time.Millisecond, 1000, time.Second},
		{10 * time.Second, 3000, 0},
		{9 * time.Second, 100, 100 * time.Millisecond}, // the clock went back: it counts as empty
	} {
		if wait := intake.Spend(step.bytes, start.Add(step.at)); max(wait, 0).Round(time.Millisecond) != step.wait {
			t.Errorf("%d bytes at %s: wait %s, want %s", step.bytes, step.at, wait, step.wait)
		}
	}
}

func TestIntakeOff(t *testing.T) {
	t.Parallel()
	intake := guardrails.NewIntake(fewest)
	if wait := intake.Spend(1<<40, start); wait > 0 {
		t.Errorf("a wait of %s without a limit", wait)
	}
}

// TestIntakeHoldsItsRate: who waits as told never sends more than a burst, what the
// rate gives, and the last piece.
func TestIntakeHoldsItsRate(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		limits := guardrails.Limits{
			BytesPerSecond: rapid.IntRange(1000, 1_000_000).Draw(t, "perSecond"),
			ByteBurst:      rapid.IntRange(1000, 1_000_000).Draw(t, "burst"),
		}
		const piece = 16 << 10
		intake, now, sent := guardrails.NewIntake(limits), start, 0
		for range rapid.IntRange(1, 100).Draw(t, "reads") {
			bytes := rapid.IntRange(1, piece).Draw(t, "bytes")
			sent += bytes
			now = now.Add(max(intake.Spend(bytes, now), 0))
			most := limits.ByteBurst + piece + int(now.Sub(start).Seconds()*float64(limits.BytesPerSecond)) + 1
			if sent > most {
				t.Fatalf("%d bytes in %s, want at most %d", sent, now.Sub(start), most)
			}
		}
	})
}

// What a connection has used up is the next one's of the same owner, and nobody else's.
func TestIntakesAreTheOwners(t *testing.T) {
	t.Parallel()
	limits := guardrails.Limits{BytesPerSecond: 1000, ByteBurst: 2000}
	intakes := guardrails.NewIntakes()
	first := intakes.Take("a", limits, start)
	first.Spend(2000, start)
	intakes.Return("a", first, start)
	if wait := intakes.Take("b", limits, start).Spend(2000, start); wait > 0 {
		t.Errorf("another owner waits %s", wait)
	}
	if wait := intakes.Take("a", limits, start).Spend(1000, start); wait != time.Second {
		t.Errorf("the same owner waits %s, want a second", wait)
	}
	first = intakes.Take("a", limits, start)
	first.Spend(2000, start)
	intakes.Return("a", first, start)
	if wait := intakes.Take("a", limits, start.Add(2*time.Second)).Spend(2000, start.Add(2*time.Second)); wait > 0 {
		t.Errorf("after the time that it took to fill, the owner waits %s", wait)
	}
}
