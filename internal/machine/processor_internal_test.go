package machine

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestUses(t *testing.T) {
	for _, test := range []struct {
		used, in   time.Duration
		processors int
		want       bool
	}{
		{time.Second, time.Second, 2, true},
		{time.Second, time.Second, 4, false},
		{30 * time.Millisecond, 100 * time.Millisecond, 1, false},
		{50 * time.Millisecond, 100 * time.Millisecond, 1, true},
		{0, 100 * time.Millisecond, 1, false},
	} {
		if got := uses(test.used, test.in, test.processors) > processorBusy; got != test.want {
			t.Errorf("%s of %d processors in %s: busy %t, want %t", test.used, test.processors, test.in, got, test.want)
		}
	}
}

// TestProcessorTime: the time that this process uses is counted.
func TestProcessorTime(t *testing.T) {
	before, known := processorTime()
	if !known {
		t.Skip("this system does not report the used time")
	}
	for deadline := time.Now().Add(time.Minute); ; {
		if used, _ := processorTime(); used-before > 20*time.Millisecond {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("a minute of work took less than 20 ms of processor time")
		}
	}
}

// TestProcessorIsNotBusy: a process that uses little is not busy, and Run ends with its
// context.
func TestProcessorIsNotBusy(t *testing.T) {
	var p Processor
	p.busy.Store(true)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }() // ends with ctx
	for deadline := time.Now().Add(time.Minute); p.Busy(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("busy for a minute")
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Run: %v", err)
	}
}
