package processes_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/lab/processes"
)

// Programs are taken from beside the executable, then from the PATH; what is nowhere
// and cannot be built is named.
func TestFind(t *testing.T) {
	beside, onPath := t.TempDir(), t.TempDir()
	for _, path := range []string{
		filepath.Join(beside, "realtime"), filepath.Join(beside, "realtime-dev"), filepath.Join(onPath, "redis-server"), filepath.Join(onPath, "realtime-dev"),
	} {
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", onPath)
	executable := filepath.Join(beside, "realtime")
	found, err := processes.Find(t.Context(), executable, t.TempDir(), false, true)
	if err != nil {
		t.Fatal(err)
	}
	if found.Realtime != executable || found.Dev != filepath.Join(beside, "realtime-dev") ||
		found.Redis != filepath.Join(onPath, "redis-server") || found.NATS != "" {
		t.Errorf("found %+v", found)
	}
	if _, err := processes.Find(t.Context(), executable, t.TempDir(), true, false); !errors.Is(err, processes.ErrNoProgram) || !strings.Contains(err.Error(), "nats-server") {
		t.Errorf("without nats-server: %v", err)
	}
	t.Setenv("PATH", beside)
	if _, err := processes.Find(t.Context(), executable, t.TempDir(), false, false); !errors.Is(err, processes.ErrNoProgram) || !strings.Contains(err.Error(), "redis-server") {
		t.Errorf("without redis-server: %v", err)
	}
}
