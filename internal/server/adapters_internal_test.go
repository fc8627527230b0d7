package server

import (
	"testing"

	"github.com/letswriteabook/realtime/eventstore/audit"
	"github.com/letswriteabook/realtime/internal/testkit/logkit"
)

// An erasure that began before a restore is finished after the restore has noted its
// own: the last word on the job has to stay that of the restore.
func TestAnOldErasureThatIsDoneIsNoNewErasure(t *testing.T) {
	t.Parallel()
	conn := logkit.Conn(t)
	trail, err := audit.New(conn, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, note := range []audit.Erasure{
		{ID: "a", Stage: audit.StageBegun, JobID: "job", Epoch: "old", Through: 7},
		{ID: "b", Stage: audit.StageBegun, JobID: "job", Epoch: "new", Through: 5},
		{ID: "a", Stage: audit.StageDone, JobID: "job", Epoch: "old", Through: 7},
	} {
		if _, err := trail.Note(t.Context(), note); err != nil {
			t.Fatal(err)
		}
	}
	erased, newest, err := hubErasures{trail}.Erased(t.Context(), 0)
	if err != nil || newest != 3 || len(erased) != 2 {
		t.Fatalf("erased %+v up to %d, %v", erased, newest, err)
	}
	if last := erased[1].Through; last.Epoch != "new" || last.Sequence != 5 {
		t.Errorf("the last word is %s", last)
	}
	if erased, newest, err = (hubErasures{trail}).Erased(t.Context(), 2); err != nil || newest != 3 || len(erased) != 0 {
		t.Errorf("after the second: %+v up to %d, %v", erased, newest, err)
	}
}
