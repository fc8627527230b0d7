package audit_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/eventstore/audit"
	"github.com/letswriteabook/realtime/internal/testkit/logkit"
)

// TestReloadsAreTheNewest: of more reloads than are listed, the newest ones are.
func TestReloadsAreTheNewest(t *testing.T) {
	t.Parallel()
	const more, listed = 1003, 1000
	trail, err := audit.New(logkit.Conn(t), "")
	if err != nil {
		t.Fatal(err)
	}
	if reloads, err := trail.Reloads(t.Context()); err != nil || len(reloads) > 0 {
		t.Fatalf("before the first: %v, %v", reloads, err)
	}
	for n := range more {
		if err := trail.NoteReload(t.Context(), audit.Reload{At: time.Now(), Gateway: fmt.Sprint(n)}); err != nil {
			t.Fatal(err)
		}
	}
	reloads, err := trail.Reloads(t.Context())
	if err != nil || len(reloads) != listed {
		t.Fatalf("%d reloads, %v", len(reloads), err)
	}
	for n, reload := range reloads {
		if want := fmt.Sprint(more - listed + n); reload.Gateway != want {
			t.Fatalf("reload %d is of gateway %s, want %s", n, reload.Gateway, want)
		}
	}
}
