package erasure_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/eventstore/audit"
	"github.com/letswriteabook/realtime/operations/backup"
	"github.com/letswriteabook/realtime/operations/erasure"
)

// memoryAudit is a record in memory.
type memoryAudit struct{ notes []audit.Erasure }

func (m *memoryAudit) Note(_ context.Context, note audit.Erasure) (uint64, error) {
	m.notes = append(m.notes, note)
	return uint64(len(m.notes)), nil
}

func (m *memoryAudit) Of(context.Context, string) ([]audit.Erasure, error) { return m.notes, nil }

func TestPrepare(t *testing.T) {
	t.Parallel()
	made := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	const begun, done = audit.StageBegun, audit.StageDone
	note := func(id string, stage audit.Stage, epoch string, through uint64, at time.Duration) audit.Erasure {
		return audit.Erasure{ID: id, Stage: stage, JobID: "job", By: "me", Reason: "r", Epoch: epoch, Through: through, At: made.Add(at)}
	}
	of := func(id string, note audit.Erasure) audit.Erasure {
		note.Of = id
		return note
	}
	for _, test := range []struct {
		name   string
		record []audit.Erasure
		noted  bool
		want   uint64 // the sequence up to which the job goes; 0: it stays
	}{
		{name: "nothing was erased"},
		{name: "after the backup", record: []audit.Erasure{note("1", begun, "old", 70, 24*time.Hour), note("1", done, "old", 70, 24*time.Hour)}, want: 70},
		{name: "after the backup, more than it has", record: []audit.Erasure{note("1", done, "old", 170, 24*time.Hour)}, want: 100},
		{name: "before the backup", record: []audit.Erasure{note("1", begun, "old", 70, -25*time.Hour), note("1", done, "old", 70, -24*time.Hour)}},
		{name: "begun before the backup, and not done", record: []audit.Erasure{note("1", begun, "old", 70, -24*time.Hour)}, want: 70},
		{name: "shortly before the backup, by another clock", record: []audit.Erasure{note("1", done, "old", 70, -time.Minute)}, want: 70},
		{name: "in another epoch", record: []audit.Erasure{note("1", done, "other", 7, 24*time.Hour)}, want: 100},
		{name: "in another epoch, before the backup", record: []audit.Erasure{note("1", done, "other", 7, -24*time.Hour)}},
		{
			name:   "a restore was interrupted",
			record: []audit.Erasure{note("1", begun, "old", 70, 24*time.Hour), note("1", done, "old", 70, 24*time.Hour), of("1", note("2", begun, "never", 70, 25*time.Hour))}, want: 70,
		},
		{
			name: "it was restored before",
			record: []audit.Erasure{
				note("1", begun, "old", 70, 24*time.Hour), note("1", done, "old", 70, 24*time.Hour),
				of("1", note("2", begun, "restored", 70, 25*time.Hour)), of("1", note("2", done, "restored", 70, 25*time.Hour)),
			}, want: 70,
		},
		{
			name: "a backup of a log that was restored",
			record: []audit.Erasure{
				note("1", begun, "first", 170, -time.Minute), of("1", note("2", begun, "old", 70, -time.Minute)),
				note("1", done, "first", 170, time.Minute), of("1", note("2", done, "old", 70, time.Minute)),
			}, want: 70,
		},
		{
			name: "a backup of a log that was restored, made well after it was",
			record: []audit.Erasure{
				note("1", begun, "first", 170, -25*time.Hour), note("1", done, "first", 170, -25*time.Hour),
				of("1", note("2", begun, "old", 70, -24*time.Hour)), of("1", note("2", done, "old", 70, -24*time.Hour)),
			},
		},
		{name: "noted in the manifest", noted: true, want: 100},
		{name: "noted twice", noted: true, record: []audit.Erasure{note("1", done, "old", 70, 24*time.Hour)}, want: 100},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			restored := erasure.Restored{Epoch: "new", PreviousEpoch: "old", Last: 100, CreatedAt: made}
			if test.noted {
				restored.Noted = []audit.Erasure{{JobID: "job", By: "me", Reason: "r"}}
			}
			audit := &memoryAudit{}
			got, err := erasure.New(erasure.Config{Audit: audit}).Prepare(t.Context(), restored, test.record)
			open := len(erasure.Unfinished(test.record))
			if err != nil || len(got) != open+len(audit.notes) || len(erasure.Unfinished(got[:open])) != open {
				t.Fatalf("%+v, %v", got, err)
			}
			got = got[open:]
			if test.want == 0 {
				if len(got) != 0 {
					t.Fatalf("it would go: %+v", got)
				}
				return
			}
			if len(got) != 1 || got[0].Through != test.want || got[0].Epoch != "new" || got[0].Stage != begun || got[0].ID == "1" || got[0].By != "me" {
				t.Errorf("noted %+v, want up to %d", got, test.want)
			}
		})
	}
}

// TestRestore: a backup from before an erasure does not bring the job back, whether
// its manifest knows or the record does.
func TestRestore(t *testing.T) {
	t.Parallel()
	s := setup(t)
	dir := s.fill()
	trail := audit.Beside(s.log.Client())
	if _, err := erasure.New(s.config()).Erase(t.Context(), request()); err != nil {
		t.Fatal(err)
	}
	s.append(5) // will be lost
	for round := range 2 {
		var begun []audit.Erasure
		restored, err := backup.RestoreWith(t.Context(), s.archive, dir, backup.Options{Replace: true, Prepare: func(ctx context.Context, coming backup.Coming) error {
			record, _, err := trail.After(ctx, 0)
			if err != nil {
				return err
			}
			events := coming.Events()
			begun, err = erasure.New(s.config()).Prepare(ctx, erasure.Restored{
				Epoch: coming.Epoch, PreviousEpoch: events.Epoch, Last: events.LastSequence, CreatedAt: coming.Manifest.CreatedAt,
			}, record)
			return err
		}})
		if err != nil || len(begun) != 1 || begun[0].Epoch != restored.Epoch || begun[0].Through != 40 {
			t.Fatalf("round %d: %+v, %+v, %v", round, restored, begun, err)
		}
		s.settled() // the projections have written what the restore brought back
		without := s.config()
		without.Models = nil
		if err := erasure.New(without).FinishAll(t.Context(), begun); !errors.Is(err, erasure.ErrNoModels) {
			t.Errorf("without MongoDB: %v", err)
		}
		if err := erasure.New(s.config()).FinishAll(t.Context(), begun); err != nil {
			t.Fatal(err)
		}
		if count, err := s.log.CountJob(t.Context(), job); err != nil || count != 0 {
			t.Errorf("the restored log has %d records of the job, %v", count, err)
		}
		if count := s.count("novel_job_events", job); count != 0 {
			t.Errorf("%d documents of the job are back", count)
		}
		if count, err := s.log.CountJob(t.Context(), "another"); err != nil || count != 20 {
			t.Errorf("of the other job are back %d records, %v", count, err)
		}
		notes, err := trail.Of(t.Context(), job)
		if err != nil || len(notes) != 4+2*round || !slices.ContainsFunc(notes, func(n audit.Erasure) bool { return n.ID == begun[0].ID && n.Stage == audit.StageDone }) {
			t.Errorf("notes %+v, %v", notes, err)
		}
	}
}

// TestRestoreAgain: a restore is interrupted once it has noted what is to go. The repeat
// removes what was erased, leaves what the job has got since, and finishes the notes.
func TestRestoreAgain(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.append(10)
	s.settled()
	if _, err := erasure.New(s.config()).Erase(t.Context(), request()); err != nil {
		t.Fatal(err)
	}
	s.append(2)
	dir := filepath.Join(t.TempDir(), "backup")
	if _, err := backup.Save(t.Context(), s.archive, dir, func(backup.Progress) {}); err != nil {
		t.Fatal(err)
	}
	trail := audit.Beside(s.log.Client())
	restore := func(interruption error) []audit.Erasure {
		var begun []audit.Erasure
		_, err := backup.RestoreWith(t.Context(), s.archive, dir, backup.Options{Replace: true, Prepare: func(ctx context.Context, coming backup.Coming) error {
			record, _, err := trail.After(ctx, 0)
			if err != nil {
				return err
			}
			events := coming.Events()
			begun, err = erasure.New(s.config()).Prepare(ctx, erasure.Restored{
				Epoch: coming.Epoch, PreviousEpoch: events.Epoch, Last: events.LastSequence, CreatedAt: coming.Manifest.CreatedAt,
			}, record)
			return errors.Join(err, interruption)
		}})
		if !errors.Is(err, interruption) {
			t.Fatal(err)
		}
		return begun
	}
	restore(errInterrupted)
	if err := erasure.New(s.config()).FinishAll(t.Context(), restore(nil)); err != nil {
		t.Fatal(err)
	}
	s.settled()
	if count, err := s.log.CountJob(t.Context(), job); err != nil || count != 2 {
		t.Errorf("of the events since the erasure there are %d, %v", count, err)
	}
	notes, err := trail.Of(t.Context(), job)
	if err != nil || len(notes) != 6 || len(erasure.Unfinished(notes)) != 0 {
		t.Errorf("notes %+v, %v", notes, err)
	}
}

// TestTheRecordIsBackedUp: it comes back on a server that has none, and is not
// replaced on one that has.
func TestTheRecordIsBackedUp(t *testing.T) {
	t.Parallel()
	s, other := setup(t), setup(t)
	s.append(1)
	for i := range 2 {
		note := audit.Erasure{ID: fmt.Sprint(i), Stage: audit.StageDone, JobID: "gone"}
		if _, err := audit.Beside(s.log.Client()).Note(t.Context(), note); err != nil {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(t.TempDir(), "backup")
	manifest, err := backup.Save(t.Context(), s.archive, dir, func(backup.Progress) {})
	if err != nil || len(manifest.Streams) != 3 {
		t.Fatalf("%+v, %v", manifest, err)
	}
	for want := range 2 {
		if _, err := backup.Restore(t.Context(), other.archive, dir, true, func(backup.Progress) {}); err != nil {
			t.Fatal(err)
		}
		if notes, _, err := audit.Beside(other.log.Client()).After(t.Context(), 0); err != nil || len(notes) != 2+want {
			t.Errorf("the record has %+v, %v", notes, err)
		}
		if _, err := audit.Beside(other.log.Client()).Note(t.Context(), audit.Erasure{ID: "later", JobID: "gone"}); err != nil {
			t.Fatal(err)
		}
	}
}
