package server

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/ingest"
)

// A canary shows a leg that fails in health and by its cause, and logs the beginning
// and the end of an outage once each, however many runs it lasts.
func TestCanaryShowsAnOutage(t *testing.T) {
	t.Parallel()
	var logged bytes.Buffer // of the canary's goroutine until it has ended
	c, err := newCanary(time.Millisecond, slog.New(slog.NewTextHandler(&logged, nil)), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	var broken atomic.Bool
	runs := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	c.add("redis", func(ctx context.Context, _ string) error {
		select {
		case runs <- struct{}{}:
		case <-ctx.Done():
		}
		if broken.Load() {
			return ingest.ErrReplica
		}
		return nil
	})
	ended := make(chan error, 1)
	go func() { ended <- c.run(ctx) }() // ends with ctx
	// The run after the next one has begun shows what the next one found.
	several := func() {
		for range 3 {
			<-runs
		}
	}
	several()
	if err := c.failure("redis"); err != nil {
		t.Errorf("before the outage: %v", err)
	}
	broken.Store(true)
	several()
	if err := c.failure("redis"); !errors.Is(err, ingest.ErrReplica) || !errors.As(err, new(degradation)) {
		t.Errorf("during the outage: %v", err)
	}
	broken.Store(false)
	several()
	if err := c.failure("redis"); err != nil {
		t.Errorf("after the outage: %v", err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for _, line := range []string{`cause=replica`, "does what is needed again"} {
		if n := strings.Count(logged.String(), line); n != 1 {
			t.Errorf("%q is logged %d times, want 1:\n%s", line, n, &logged)
		}
	}
}
