package backends_test

import (
	"testing"
	"time"

	"github.com/letswriteabook/realtime/eventstore/audit"
	"github.com/letswriteabook/realtime/internal/backends"
	"github.com/letswriteabook/realtime/internal/testkit/logkit"
)

// What the projections remove goes by when a job was erased, and not by when a restore
// erased it again.
func TestARestoreDoesNotMakeAnErasureNewer(t *testing.T) {
	t.Parallel()
	conn := logkit.Conn(t)
	trail, err := audit.New(conn, "")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, note := range []audit.Erasure{
		{ID: "a", Stage: audit.StageBegun, JobID: "job", At: at},
		{ID: "a", Stage: audit.StageDone, JobID: "job", At: at.Add(time.Minute)},
		{ID: "b", Stage: audit.StageBegun, JobID: "job", At: at.Add(time.Hour), Of: "a"},
		{ID: "c", Stage: audit.StageBegun, JobID: "of a backup's manifest", At: at.Add(time.Hour)},
	} {
		if _, err := trail.Note(t.Context(), note); err != nil {
			t.Fatal(err)
		}
	}
	erased, newest, err := backends.Erasures{Audit: trail}.Erased(t.Context(), 0)
	if err != nil || newest != 4 || len(erased) != 2 || !erased[0].At.Equal(at) || !erased[1].At.Equal(at.Add(time.Hour)) {
		t.Errorf("erased %+v up to %d, %v", erased, newest, err)
	}
}
