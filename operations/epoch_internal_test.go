package operations

import (
	"testing"

	"github.com/letswriteabook/realtime/eventstore/archive"
	"github.com/letswriteabook/realtime/internal/testkit/logkit"
)

// A repeated restore gives the epoch of the interrupted one again only as long as no log
// with it was in use and is gone.
func TestEpochOfARepeatedRestore(t *testing.T) {
	t.Parallel()
	conn := logkit.Conn(t)
	used := logkit.Open(t, conn).Epoch()
	streams, err := archive.New(conn, "")
	if err != nil {
		t.Fatal(err)
	}
	given := func(interrupted string) string {
		t.Helper()
		epoch, err := unusedEpoch(t.Context(), streams, interrupted)
		if err != nil || epoch == "" {
			t.Fatalf("epoch %q, %v", epoch, err)
		}
		return epoch
	}
	if got := given(used); got != used {
		t.Errorf("the log is there in epoch %s, and the restore that made it is to begin %s", used, got)
	}
	if got := given("0123"); got != "0123" {
		t.Errorf("an epoch that nobody has used is replaced by %s", got)
	}
	if err := streams.Remove(t.Context(), archive.Streams()[0]); err != nil {
		t.Fatal(err)
	}
	if got := given(used); got == used {
		t.Error("the epoch of a log that is gone begins again")
	}
	if first, second := given(""), given(""); first == second {
		t.Error("two restores begin the same epoch")
	}
}
