package scenario

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/internal/testkit"
	"github.com/letswriteabook/realtime/lab/load"
)

// A server counts as restarted when another run of it answers: not when it goes on,
// and not when no server answers.
func TestARestartIsProved(t *testing.T) {
	t.Parallel()
	server := testkit.StartRedis(t, "--enable-debug-command", "yes")
	client := server.Client()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	before, err := runID(ctx, client)
	if err != nil || before == "" {
		t.Fatalf("run %q, %v", before, err)
	}
	if err := awaitRestart(ctx, client, before, 50*time.Millisecond); !errors.Is(err, errSameRun) {
		t.Errorf("nothing was done: %v", err)
	}
	trial := &trial{cfg: load.Config{RedisURL: server.URL()}, opts: load.Options{RedisResetDelayMs: 10}}
	if err := trial.restartRedis(ctx); err != nil {
		t.Fatalf("DEBUG RESTART: %v", err)
	}
	if after, err := runID(ctx, client); err != nil || after == before {
		t.Errorf("run %q is %q afterwards, %v", before, after, err)
	}
	trial.cfg.RedisURL = "redis://127.0.0.1:1"
	if err := trial.restartRedis(ctx); err == nil {
		t.Error("no server answers, and it counts as restarted")
	}
}
