package erasure_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/eventstore/audit"
	"github.com/letswriteabook/realtime/eventstore/maintain"
	"github.com/letswriteabook/realtime/messaging"
	"github.com/letswriteabook/realtime/operations/backup"
	"github.com/letswriteabook/realtime/operations/erasure"
	"github.com/letswriteabook/realtime/projections"
)

// fill puts something of the job into every place, and returns a backup.
func (s *system) fill() string {
	s.t.Helper()
	s.append(20)
	s.settled()
	dir := filepath.Join(s.t.TempDir(), "backup")
	if _, err := backup.Save(s.t.Context(), s.archive, dir, func(backup.Progress) {}); err != nil {
		s.t.Fatal(err)
	}
	s.refuse(`{"jobId":"` + job + `","kind":"x"}`)
	s.refuse(`{"jobId":"` + job + ``) // cannot be read
	s.refuse(`{"jobId":"another"}`)
	named := bson.E{Key: "jobId", Value: job}
	s.insert("novel_job_events", bson.D{named, {Key: "kind", Value: "domain"}}) // an older writer's
	s.insert("novel_job_events", bson.D{named, {Key: "epoch", Value: "before"}, {Key: "sequence", Value: int64(1 << 40)}})
	s.insert("novel_job_events_old_20260101t000000000", bson.D{named, {Key: "epoch", Value: s.log.Epoch()}, {Key: "sequence", Value: int64(3)}})
	s.insert("novel_job_events_shadow", bson.D{named, {Key: "epoch", Value: s.log.Epoch()}, {Key: "sequence", Value: int64(3)}})
	s.insert("novel_jobs", bson.D{named, {Key: "status", Value: "running"}})
	return dir
}

func request(backups ...string) erasure.Request {
	return erasure.Request{JobID: job, By: "operator", Reason: "request 17", Backups: backups}
}

func TestErase(t *testing.T) {
	t.Parallel()
	s := setup(t)
	dir := s.fill()
	eraser := erasure.New(s.config())
	want := audit.Removed{Events: 20, Letters: 1, Documents: 24, Heads: 1}

	plan, err := eraser.Plan(t.Context(), request(dir))
	if err != nil || plan.Found == nil || *plan.Found != want || plan.Aggregates != 1 || !slices.Equal(plan.Mentions, []uint64{2}) || !plan.Rebuilding {
		t.Fatalf("plan %+v, %v", plan, err)
	}
	if count, err := s.log.CountJob(t.Context(), job); err != nil || count != 20 {
		t.Fatalf("a plan leaves %d records, %v", count, err)
	}
	if notes, err := audit.Beside(s.log.Client()).Of(t.Context(), job); err != nil || len(notes) != 0 {
		t.Fatalf("a plan notes %v, %v", notes, err)
	}

	result, err := eraser.Erase(t.Context(), request(dir))
	if err != nil || len(result.Done) != 1 || result.Done[0].Removed != want {
		t.Fatalf("result %+v, %v", result, err)
	}
	s.gone(20)
	notes, err := audit.Beside(s.log.Client()).Of(t.Context(), job)
	if err != nil || len(notes) != 2 || notes[0].Stage != audit.StageBegun || notes[1].Stage != audit.StageDone {
		t.Fatalf("notes %+v, %v", notes, err)
	}
	if n := notes[1]; n.By != "operator" || n.Reason != "request 17" || n.Removed != want || n.ID != notes[0].ID || n.Through != 40 || !slices.Equal(n.Backups, []string{dir}) {
		t.Errorf("note %+v", n)
	}
	manifest, err := backup.Load(dir)
	if err != nil || len(manifest.Erased) != 1 || manifest.Erased[0].JobID != job || backup.Check(dir, manifest) != nil {
		t.Errorf("manifest %+v, %v", manifest.Erased, err)
	}

	again, err := eraser.Erase(t.Context(), request(dir))
	if err != nil || len(again.Done) != 0 || again.Before == nil || again.Before.ID != notes[0].ID {
		t.Errorf("again: %+v, %v", again, err)
	}
	if notes, err = audit.Beside(s.log.Client()).Of(t.Context(), job); err != nil || len(notes) != 2 {
		t.Errorf("again notes %+v, %v", notes, err)
	}

	s.append(1) // what is published later is new, and goes with the next erasure
	s.settled()
	if s.count("novel_job_events", job) != 1 {
		t.Error("an event that came later is not projected")
	}
	if result, err = eraser.Erase(t.Context(), request()); err != nil || len(result.Done) != 1 || result.Done[0].Removed.Events != 1 {
		t.Errorf("the next erasure: %+v, %v", result, err)
	}
	s.gone(21)
	wrong := erasure.Request{JobID: "nobody", By: "operator", Reason: "r"}
	if _, err := eraser.Erase(t.Context(), wrong); !errors.Is(err, erasure.ErrNothing) {
		t.Errorf("a job that nobody knows: %v", err)
	}
	s.refuse(`{"jobId":"ghost`)
	wrong.JobID = "ghost"
	if result, err = eraser.Erase(t.Context(), wrong); !errors.Is(err, erasure.ErrNothing) || len(result.Mentions) != 1 {
		t.Errorf("a job that only a letter mentions: %+v, %v", result, err)
	}
	wrong.JobID = ""
	if _, err := eraser.Erase(t.Context(), wrong); !errors.Is(err, eventstore.ErrInvalidJobID) {
		t.Errorf("no job: %v", err)
	}
	without := s.config()
	without.Models = nil
	if _, err := erasure.New(without).Erase(t.Context(), request()); !errors.Is(err, erasure.ErrNoModels) {
		t.Errorf("without MongoDB: %v", err)
	}
	wrong = request(t.TempDir())
	if _, err := eraser.Erase(t.Context(), wrong); !errors.Is(err, backup.ErrNoBackup) {
		t.Errorf("a folder without a backup: %v", err)
	}
}

var errInterrupted = errors.New("interrupted for the test")

// fuse fails at its nth step, and from then on.
type fuse struct{ left int }

func (f *fuse) burn() error {
	if f.left--; f.left < 0 {
		return errInterrupted
	}
	return nil
}

// fusedLog, fusedAudit, fusedModels and fusedNotes die before or after each of their
// changes.
type fusedLog struct {
	*maintain.Log
	*fuse
}

func (l fusedLog) PauseConsumer(ctx context.Context, name string, until time.Time) error {
	return errors.Join(l.burn(), l.Log.PauseConsumer(ctx, name, until))
}

func (l fusedLog) ResumeConsumer(ctx context.Context, name string) error {
	if err := l.burn(); err != nil {
		return err
	}
	return l.Log.ResumeConsumer(ctx, name)
}

func (l fusedLog) EraseJob(ctx context.Context, jobID string, through uint64, told func(uint64)) (uint64, error) {
	if err := l.burn(); err != nil {
		_, _ = l.Log.EraseJob(ctx, jobID, 7, told) // some of it
		return 0, err
	}
	count, err := l.Log.EraseJob(ctx, jobID, through, told)
	return count, errors.Join(err, l.burn())
}

func (l fusedLog) PurgeJob(ctx context.Context, jobID string, through uint64, told func(uint64)) (uint64, error) {
	if err := l.burn(); err != nil {
		_, _ = l.Log.PurgeJob(ctx, jobID, 7, told) // some of it
		return 0, err
	}
	count, err := l.Log.PurgeJob(ctx, jobID, through, told)
	return count, errors.Join(err, l.burn())
}

func (l fusedLog) RemoveDeadLetters(ctx context.Context, sequences []uint64) error {
	return errors.Join(l.Log.RemoveDeadLetters(ctx, sequences), l.burn())
}

func (l fusedLog) EraseDeadLetter(ctx context.Context, sequence uint64) error {
	return errors.Join(l.Log.EraseDeadLetter(ctx, sequence), l.burn())
}

type fusedAudit struct {
	*audit.Trail
	*fuse
}

func (a fusedAudit) Note(ctx context.Context, erasure audit.Erasure) (uint64, error) {
	if err := a.burn(); err != nil {
		return 0, err
	}
	number, err := a.Trail.Note(ctx, erasure)
	return number, errors.Join(err, a.burn())
}

type fusedModels struct {
	*projections.Store
	*fuse
}

func (m fusedModels) EraseJob(ctx context.Context, jobID string, through messaging.Position, told func(uint64)) (projections.JobDocuments, error) {
	if err := m.burn(); err != nil {
		return projections.JobDocuments{}, err
	}
	found, err := m.Store.EraseJob(ctx, jobID, through, told)
	return found, errors.Join(err, m.burn())
}

// TestInterruptions: wherever an erasure dies, the next call brings it to the same
// end.
func TestInterruptions(t *testing.T) {
	t.Parallel()
	t.Run("overwritten", func(t *testing.T) { t.Parallel(); interruptions(t, erasure.DefaultOverwriteAtMost) })
	t.Run("purged", func(t *testing.T) { t.Parallel(); interruptions(t, 0) })
}

func interruptions(t *testing.T, overwriteAtMost uint64) {
	s := setup(t)
	dir := s.fill()
	finished := false
	for steps := 0; !finished; steps++ {
		if steps > 0 {
			s.append(3)
			s.settled()
		}
		fuse := &fuse{left: steps}
		cfg := s.config()
		cfg.OverwriteAtMost = overwriteAtMost
		cfg.Log, cfg.Audit, cfg.Models = fusedLog{s.log, fuse}, fusedAudit{audit.Beside(s.log.Client()), fuse}, fusedModels{s.store, fuse}
		_, err := erasure.New(cfg).Erase(t.Context(), request(dir))
		if finished = err == nil; !finished && !errors.Is(err, errInterrupted) {
			t.Fatalf("after %d steps: %v", steps, err)
		}
		// Those who died leave a pause that ends by itself; not waited for here.
		for _, name := range projections.Names() {
			if err := s.log.ResumeConsumer(t.Context(), name); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := erasure.New(s.config()).Erase(t.Context(), request(dir)); err != nil {
			t.Fatalf("the repeat after %d steps: %v", steps, err)
		}
		if s.gone(20 + 3*steps); t.Failed() {
			t.Fatalf("after %d steps", steps)
		}
		notes, err := audit.Beside(s.log.Client()).Of(t.Context(), job)
		if err != nil || len(notes) == 0 || notes[len(notes)-1].Stage != audit.StageDone {
			t.Fatalf("after %d steps the notes are %+v, %v", steps, notes, err)
		}
		if manifest, err := backup.Load(dir); err != nil || len(manifest.Erased) == 0 {
			t.Fatalf("after %d steps the manifest has %+v, %v", steps, manifest.Erased, err)
		}
		if steps > 100 {
			t.Fatal("it never finishes")
		}
	}
}

// TestABatchThatCameLate: a projection that was not there to be paused writes records
// of the job after its documents were removed. They go before the erasure is done.
func TestABatchThatCameLate(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.fill()
	state, err := s.log.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cfg := s.config()
	cfg.Report = func(step string, _, _ uint64) {
		if strings.HasPrefix(step, "wait for gateways") {
			s.insert("novel_job_events", bson.D{{Key: "_id", Value: "late"}, {Key: "jobId", Value: job}, {Key: "epoch", Value: state.Epoch}, {Key: "sequence", Value: int64(1)}})
		}
	}
	result, err := erasure.New(cfg).Erase(t.Context(), request())
	if err != nil || len(result.Done) != 1 || result.Done[0].Removed.Documents != 25 {
		t.Fatalf("result %+v, %v", result, err)
	}
	s.gone(20)
}

// TestABatchInFlight: the projections hold records of the job when the erasure
// begins. It waits for them, and they write nothing back.
func TestABatchInFlight(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.append(1)
	s.settled()
	s.insert("novel_jobs", bson.D{{Key: "jobId", Value: job}})
	s.keep(make(chan struct{}))
	s.append(10)
	for range projections.Names() {
		<-s.held
	}
	done := make(chan error, 1)
	waiting := make(chan struct{}, 1)
	cfg := s.config()
	cfg.Report = func(step string, _, _ uint64) {
		if step == "pause the projections" {
			waiting <- struct{}{}
		}
	}
	go func() { // ends with the test's context
		result, err := erasure.New(cfg).Erase(t.Context(), request())
		if err == nil && (len(result.Done) != 1 || result.Done[0].Removed.Events != 11) {
			err = fmt.Errorf("result %+v", result)
		}
		done <- err
	}()
	<-waiting
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		state, err := s.log.ConsumerState(ctx, projections.JobHeads)
		if err != nil {
			t.Fatal(err)
		}
		if state.Paused {
			break
		}
	}
	if count, err := s.log.CountJob(t.Context(), job); err != nil || count != 11 {
		t.Errorf("%d records are left while the projections hold them, %v", count, err)
	}
	s.keep(nil)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	s.gone(11)
}

// TestABatchOfTheDead: a process has died with a batch in its hands. The erasure lets
// the projections go on until others have been handed it.
func TestABatchOfTheDead(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.insert("novel_jobs", bson.D{{Key: "jobId", Value: job}})
	s.append(1)
	s.settled()
	s.keep(make(chan struct{}))
	s.append(5)
	for range projections.Names() {
		<-s.held
	}
	s.append(1)
	s.die(projections.History)
	s.keep(nil)
	if _, err := erasure.New(s.config()).Erase(t.Context(), request()); err != nil {
		t.Fatal(err)
	}
	s.gone(7)
}
