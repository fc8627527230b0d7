package processes_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/lab/processes"
)

// A command that leaves something running has ended.
func TestShell(t *testing.T) {
	t.Parallel()
	note := filepath.Join(t.TempDir(), "pid")
	if err := processes.Shell(t.Context(), "sleep 600 & echo $! > "+note); err != nil {
		t.Errorf("with something in the background: %v", err)
	}
	pid, err := os.ReadFile(note)
	if err != nil {
		t.Fatal(err)
	}
	if err := processes.Shell(t.Context(), "kill "+string(pid)); err != nil {
		t.Errorf("what it left behind has ended with it: %v", err)
	}
	if err := processes.Shell(t.Context(), "echo no such thing >&2; exit 3"); err == nil || !strings.Contains(err.Error(), "no such thing") {
		t.Errorf("a command that fails: %v", err)
	}
}
