package guardrails_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/guardrails"
)

// TestChurn: a client that sends far more than others is slowed down while the processors
// are busy, until its rate has been ordinary for a while; a client of an ordinary rate is not.
func TestChurn(t *testing.T) {
	t.Parallel()
	busy := false
	churn := guardrails.NewChurn(func() bool { return busy })
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	now := start
	flood := func(client string) {
		for range 1000 {
			churn.Note(client, now)
		}
	}
	wait := func(client string, slowed bool) {
		t.Helper()
		least, most := churn.Wait(client, now, 0), churn.Wait(client, now, 1)
		if (least > 0) != slowed || (most > 0) != slowed || most > 300*time.Millisecond {
			t.Fatalf("%s waits %s to %s, want it slowed down: %t", client, least, most, slowed)
		}
	}

	flood("idle processors")
	wait("idle processors", false)

	busy = true
	wait("never noted", false)
	flood("hostile")
	for range 100 {
		churn.Note("honest", now)
	}
	wait("hostile", true)
	wait("honest", false)

	busy = false
	for range 10 {
		now = now.Add(9 * time.Second)
		wait("hostile", true) // its requests go on
		flood("hostile")
	}
	// Slowed down, it still sends as fast as it is let.
	for range 100 {
		now = now.Add(200 * time.Millisecond)
		wait("hostile", true)
		churn.Note("hostile", now)
	}
	start = now
	// Others behind its address still send something every second.
	for range 10 {
		now = now.Add(time.Second)
		wait("hostile", now.Sub(start) < 10*time.Second)
		churn.Note("hostile", now)
	}
	wait("hostile", false)
}

// TestChurnIsBounded: a client that was noted a long time ago is forgotten if many others
// follow it.
func TestChurnIsBounded(t *testing.T) {
	t.Parallel()
	churn := guardrails.NewChurn(func() bool { return true })
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for range 1000 {
		churn.Note("first", now)
	}
	if !churn.Slowed("first", now) {
		t.Fatal("the first client is not slowed down")
	}
	for i := range 10_000 {
		churn.Note(fmt.Sprint(i), now)
	}
	if churn.Slowed("first", now) {
		t.Error("the first of 10,001 clients is kept")
	}
}

// TestChurnOff: nobody is slowed down without a measure of the processors.
func TestChurnOff(t *testing.T) {
	t.Parallel()
	churn := guardrails.NewChurn(nil)
	for range 1000 {
		churn.Note("a", time.Time{})
	}
	if churn.Wait("a", time.Time{}, 0.5) != 0 {
		t.Error("a client is slowed down")
	}
}
