package rebuild_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/eventstore/maintain"
	"github.com/letswriteabook/realtime/messaging"
	"github.com/letswriteabook/realtime/operations/rebuild"
	"github.com/letswriteabook/realtime/projections"
)

// TestSwapUnderLiveTraffic is the seam: events and reads go on while both
// projections are rebuilt and swapped. Whoever reads up to the floor misses
// nothing, and in the end the collections are a fold of the log.
func TestSwapUnderLiveTraffic(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.project()
	s.append(300)
	s.settled()
	// Damage, and an older writer's document.
	if _, err := s.db.Collection("novel_job_events").DeleteMany(t.Context(), bson.D{{Key: "jobId", Value: "job-3"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.db.Collection("novel_job_events").InsertOne(t.Context(), bson.D{{Key: "_id", Value: "legacy"}, {Key: "jobId", Value: "job-1"}, {Key: "kind", Value: "domain"}, {Key: "emittedAt", Value: "2020"}}); err != nil {
		t.Fatal(err)
	}
	report, err := s.rebuild(projections.History).Verify(t.Context(), false, 3)
	if err != nil || report.Equal || report.Missing != 34 || len(report.Differences) != 3 || report.Differences[0].Sequence != 3 || report.Kept != 1 {
		t.Errorf("after the damage: %+v, %v", report, err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	var traffic sync.WaitGroup
	traffic.Go(func() { // stopped by cancel
		for ctx.Err() == nil {
			if err := s.appendOne(context.WithoutCancel(ctx)); err != nil {
				t.Errorf("append: %v", err)
				return
			}
			s.yield(ctx)
		}
	})
	var reads atomic.Int64
	traffic.Go(func() { // stopped by cancel
		for ctx.Err() == nil {
			began := time.Now()
			n, err := s.missed(ctx, "job-1")
			if ctx.Err() == nil && (n > 0 || err != nil && !errors.Is(err, projections.ErrUnavailable)) {
				t.Errorf("a reader missed %d events: %v", n, err)
				return
			}
			reads.Add(1)
			// FerretDB reads the collection for each: leave it time for the others.
			time.Sleep(20*time.Millisecond + 3*time.Since(began))
		}
	})
	for _, name := range projections.Names() {
		swapped, err := s.swap(name)
		if err != nil || swapped.Old == "" || !swapped.Compared.Equal {
			t.Errorf("swap of %s: %+v, %v", name, swapped, err)
		}
		t.Logf("%s stood still for %.3f s", name, swapped.PausedSeconds)
	}
	s.moreReads(t, &reads)
	cancel()
	traffic.Wait()
	s.settled()
	s.equal()
	status, err := s.rebuild(projections.History).Status(t.Context())
	if err != nil || status.LagEvents != 0 || status.Paused || status.Shadow != nil || status.Unfinished || len(status.Old) != 1 || status.Floor != status.Head {
		t.Errorf("status: %+v, %v", status, err)
	}
	if n, err := s.db.Collection("novel_job_events").CountDocuments(t.Context(), bson.D{{Key: "_id", Value: "legacy"}}); n != 1 || err != nil {
		t.Errorf("%d documents of the older writer: %v", n, err)
	}
}

// yield waits while the live projections are behind, so that the traffic is what
// this machine's FerretDB can take. While one is paused the traffic goes on, for a
// few events.
func (s *system) yield(ctx context.Context) {
	time.Sleep(5 * time.Millisecond)
	for ctx.Err() == nil {
		behind := uint64(0)
		for _, name := range projections.Names() {
			if state, err := s.log.ConsumerState(ctx, name); err == nil {
				behind = max(behind, state.Pending)
			}
		}
		if behind < 50 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// moreReads waits for a few more reads after the swap.
func (s *system) moreReads(t *testing.T, reads *atomic.Int64) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for enough := reads.Load() + 3; reads.Load() < enough; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the reader stands still")
		}
	}
}

func (s *system) swap(name string) (rebuild.Swapped, error) {
	r := s.rebuild(name)
	if err := r.Fill(s.t.Context(), false); err != nil {
		return rebuild.Swapped{}, err
	}
	return r.Swap(s.t.Context(), 5)
}

// missed reads a job as a gateway does, and returns how many events up to the
// floor were not there. A page that does not reach the job's newest event is for
// the log to answer, and counts as nothing missed.
func (s *system) missed(ctx context.Context, job string) (int, error) {
	var want []uint64
	log, err := s.log.ReadAfter(ctx, job, 0, 100_000)
	if err != nil {
		return 0, err
	}
	floor, err := s.log.ConsumerFloor(ctx, projections.History)
	if err != nil {
		return 0, err
	}
	for _, record := range log {
		if record.Sequence <= floor {
			want = append(want, record.Sequence)
		}
	}
	got, err := s.store.ReadAfter(ctx, job, messaging.Position{Epoch: s.log.Epoch()}, 100_000)
	if err != nil || len(got) == 0 || len(want) == 0 || got[len(got)-1].Sequence < want[len(want)-1] {
		return 0, err
	}
	there := make(map[uint64]bool)
	for _, record := range got {
		there[record.Sequence] = true
	}
	missing := 0
	for _, sequence := range want {
		if !there[sequence] {
			missing++
		}
	}
	return missing, nil
}

// TestFillGoesOn interrupts a rebuild again and again; each goes on where the one
// before was.
func TestFillGoesOn(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.append(1500)
	model := s.model(projections.History)
	var furthest uint64
	for round := 0; ; round++ {
		ctx, cancel := context.WithCancel(t.Context())
		began := uint64(0)
		r := rebuild.New(s.log, model, func(p rebuild.Progress) {
			if p.Step != "fill" {
				return
			}
			if began == 0 {
				if began = p.Done; began < furthest {
					t.Errorf("round %d begins at %d, after %d", round, began, furthest)
				}
			}
			if furthest = max(furthest, p.Done); p.Done > began+300 {
				cancel()
			}
		})
		err := r.Fill(ctx, false)
		cancel()
		if err == nil {
			break
		}
		if !errors.Is(err, context.Canceled) || round > 20 {
			t.Fatalf("round %d: %v", round, err)
		}
	}
	report, err := s.rebuild(projections.History).Verify(t.Context(), true, 5)
	if err != nil || !report.Equal || report.Expected != 1500 {
		t.Errorf("%+v, %v", report, err)
	}
	// A shadow that is wrong is not swapped; one that is begun anew is.
	if _, err := s.db.Collection("novel_job_events_shadow").DeleteOne(t.Context(), bson.D{{Key: "sequence", Value: int64(7)}}); err != nil {
		t.Fatal(err)
	}
	r := s.rebuild(projections.History)
	if swapped, err := r.Swap(t.Context(), 5); !errors.Is(err, rebuild.ErrNotEqual) || swapped.Compared.Missing != 1 {
		t.Errorf("swapped a shadow that is wrong: %+v, %v", swapped, err)
	}
	if err := r.Fill(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Swap(t.Context(), 5); err != nil {
		t.Error(err)
	}
	if _, err := r.Swap(t.Context(), 5); !errors.Is(err, projections.ErrNoShadow) {
		t.Errorf("swapped nothing: %v", err)
	}
}

// dying is a log whose process dies at one of the steps of a swap.
type dying struct {
	*maintain.Log
	at     string
	killed bool
}

var errDied = errors.New("died")

func (d *dying) ResumeConsumer(ctx context.Context, consumer string) error {
	if d.killed || d.at == "resume" {
		d.killed = true
		return errDied
	}
	return d.Log.ResumeConsumer(ctx, consumer)
}

func (d *dying) ForgetConsumer(ctx context.Context, consumer string) error {
	if d.at == "forget" {
		return errDied
	}
	return d.Log.ForgetConsumer(ctx, consumer)
}

func (d *dying) PauseConsumer(ctx context.Context, consumer string, until time.Time) error {
	if err := d.Log.PauseConsumer(ctx, consumer, until); err != nil {
		return err
	}
	if d.at == "pause" || d.at == "lasting pause" && time.Until(until) > time.Hour {
		d.killed = true
		return errDied
	}
	return nil
}

// cutting is a log that ends a rebuild as it hands over each batch.
type cutting struct {
	rebuild.Log
	cut     func()
	applied chan error
}

func (c cutting) Consume(ctx context.Context, consumer string, maxBatch int, apply func(context.Context, []messaging.Record) error) error {
	return c.Log.Consume(ctx, consumer, maxBatch, func(ctx context.Context, records []messaging.Record) error {
		c.cut()
		err := apply(ctx, records)
		c.applied <- err
		return err
	})
}

// An interruption falls between two batches: what is dropped after it is being written
// by nobody any more.
func TestInterruptedFillEndsItsBatch(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.project()
	s.append(30)
	s.settled()
	ctx, cancel := context.WithCancel(t.Context())
	log := cutting{Log: s.log, cut: cancel, applied: make(chan error, 10)}
	r := rebuild.New(log, s.model(projections.History), nil)
	if err := r.Fill(ctx, false); !errors.Is(err, context.Canceled) {
		t.Fatalf("interrupted: %v", err)
	}
	if err := <-log.applied; err != nil {
		t.Errorf("the batch was cut off: %v", err)
	}
	if err := r.Discard(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.swap(projections.History); err != nil {
		t.Fatal(err)
	}
	s.equal()
}

// TestSwapThatDies ends a swap at each of its steps: the next one finishes it.
func TestSwapThatDies(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"pause", "lasting pause", "resume", "forget"} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			s.project()
			s.append(200)
			s.settled()
			model := s.model(projections.JobHeads)
			if err := s.rebuild(projections.JobHeads).Fill(t.Context(), false); err != nil {
				t.Fatal(err)
			}
			if _, err := rebuild.New(&dying{Log: s.log, at: at}, model, nil).Swap(t.Context(), 5); !errors.Is(err, errDied) {
				t.Fatalf("Swap: %v", err)
			}
			s.append(50)
			if _, err := rebuild.New(s.log, model, nil).Swap(t.Context(), 5); err != nil {
				t.Fatal(err)
			}
			s.settled()
			s.equal()
			status, err := s.rebuild(projections.JobHeads).Status(t.Context())
			if err != nil || status.Paused || status.Unfinished || status.Shadow != nil {
				t.Errorf("%+v, %v", status, err)
			}
			if at == "forget" {
				// The consumer that was left is no hindrance to the next rebuild.
				if _, err := s.swap(projections.JobHeads); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// meddling is a log on which an erasure, which knew nothing of the swap's lasting pause
// yet, shortens it once or ends its own.
type meddling struct {
	*maintain.Log
	meddle func(consumer string) error
	once   sync.Once
}

func (m *meddling) PauseConsumer(ctx context.Context, consumer string, until time.Time) error {
	err := m.Log.PauseConsumer(ctx, consumer, until)
	if err == nil && time.Until(until) > time.Hour {
		m.once.Do(func() { err = m.meddle(consumer) })
	}
	return err
}

// TestSwapBesideAnErasure: the pause lasts when the collections are moved, and they are
// not moved when the live consumer has gone on.
func TestSwapBesideAnErasure(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.project()
	s.append(20)
	s.settled()
	model := s.model(projections.JobHeads)
	if err := s.rebuild(projections.JobHeads).Fill(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	shorten := func(consumer string) error {
		return s.log.PauseConsumer(t.Context(), consumer, time.Now().Add(time.Minute))
	}
	end := func(consumer string) error {
		err := s.log.ResumeConsumer(t.Context(), consumer)
		s.append(9)
		s.settled()
		return errors.Join(err, shorten(consumer)) // the next erasure has begun
	}
	if _, err := rebuild.New(&meddling{Log: s.log, meddle: end}, model, nil).Swap(t.Context(), 5); !errors.Is(err, rebuild.ErrBusy) {
		t.Errorf("swapped though the live consumer had gone on: %v", err)
	}
	if found, err := model.Collections(t.Context()); err != nil || len(found.Old) != 0 || found.Unfinished {
		t.Errorf("it has moved %+v, %v", found, err)
	}
	moved := false
	watch := func(p rebuild.Progress) {
		if p.Step != "rename the collections" {
			return
		}
		moved = true
		if state, err := s.log.ConsumerState(t.Context(), projections.JobHeads); err != nil || state.PausedFor < time.Hour {
			t.Errorf("the collections are moved with %+v, %v", state, err)
		}
	}
	if _, err := rebuild.New(&meddling{Log: s.log, meddle: shorten}, model, watch).Swap(t.Context(), 5); err != nil || !moved {
		t.Error(err)
	}
	s.settled()
	s.equal()
}

// blinded is a log that does not tell of the live consumer any more once that has come
// to rest.
type blinded struct {
	*maintain.Log
	rests bool
}

func (b *blinded) ConsumerState(ctx context.Context, consumer string) (eventstore.ConsumerState, error) {
	if b.rests && consumer == projections.JobHeads {
		return eventstore.ConsumerState{}, errDied
	}
	state, err := b.Log.ConsumerState(ctx, consumer)
	b.rests = b.rests || consumer == projections.JobHeads && state.Paused && state.InFlight == 0
	return state, err
}

// TestAnUnfinishedSwapStaysPaused: a swap that is to finish an interrupted one fails
// before it moves anything, and leaves the pause that it has found.
func TestAnUnfinishedSwapStaysPaused(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.project()
	s.append(20)
	s.settled()
	model := s.model(projections.JobHeads)
	if err := s.rebuild(projections.JobHeads).Fill(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	note := bson.D{{Key: "_id", Value: projections.JobHeads}, {Key: "aside", Value: bson.A{"novel_job_heads_old_x"}}}
	if _, err := s.db.Collection("novel_projection_swaps").InsertOne(t.Context(), note); err != nil {
		t.Fatal(err)
	}
	if _, err := rebuild.New(&blinded{Log: s.log}, model, nil).Swap(t.Context(), 5); !errors.Is(err, errDied) {
		t.Fatalf("Swap: %v", err)
	}
	if state, err := s.log.ConsumerState(t.Context(), projections.JobHeads); err != nil || state.PausedFor < time.Hour {
		t.Errorf("the live consumer is not left paused: %+v, %v", state, err)
	}
	if _, err := rebuild.New(s.log, model, nil).Swap(t.Context(), 5); err != nil {
		t.Error(err)
	}
	s.settled()
	s.equal()
}
