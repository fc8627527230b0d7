package projections

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"golang.org/x/sync/errgroup"

	"github.com/letswriteabook/realtime/internal/outage"
	"github.com/letswriteabook/realtime/internal/wait"
)

// The pace of the adopter. A program that reads the collection finds an event twice from the
// moment when its second document is written until the pass that finds it ends: for at most
// a pause and two passes. maxAdoptPause keeps that below 5 seconds as long as a pass takes
// less than 1.75 seconds.
//
// A pass costs some ten round trips, and four for each maxAdopts documents. When workers
// write faster than passes adopt, each pass handles reach.due documents and is followed by
// the shortest pause, so that the backlog shrinks once they write less.
const (
	adoptInterval = 500 * time.Millisecond
	// adoptShare bounds the share of the time that passes take: one of 200 ms is followed by a pause
	// of 800.
	adoptShare    = 4
	maxAdoptPause = 1500 * time.Millisecond
)

// reach bounds what one pass looks at.
type reach struct {
	// page is how many _ids one reply has. Each pass examines the newest page of documents,
	// whatever their age: a worker that could not write for an hour writes documents with
	// _ids of that hour.
	page int
	// recent bounds the newest documents that are examined, and remembered.
	recent int
	// due bounds the documents whose records are searched for.
	due int
	// sweep is for how many of the older documents a record is searched.
	sweep int
}

// usualReach takes 20,000 × 13 bytes for _ids, and 4 MB for what is remembered of them.
var usualReach = reach{page: 4000, recent: 20_000, due: 4000, sweep: 500}

// adopter finds the documents that workers write into novel_job_events themselves, and
// adopts them, see [pair]. It removes those of erased events, see erased.go. One
// goroutine runs it.
//
// A pass examines the newest documents without a sequence, see recent, and one page of
// those before them, so that each is found at whatever age.
type adopter struct {
	*Store
	reach   reach
	holder  string
	leased  time.Time // when the lease was last renewed
	noted   worked    // what this process last noted in the lease
	whole   time.Time // the beginning of the last pass that succeeded and left nothing
	sweep   bson.ObjectID
	looks   looks
	through map[string]int64 // what was projected when the last pass began, see sighting
	erased  *erased
	outage  *outage.Book // of the passes
}

func (s *Store) newAdopter() *adopter {
	return &adopter{Store: s, reach: usualReach, holder: bson.NewObjectID().Hex(), looks: newLooks(), erased: s.newErased(), outage: outage.NewBook(s.logger, slog.LevelWarn,
		"Workers' documents in MongoDB are not adopted, or not removed after an erasure; repeating until they are",
		"Workers' documents in MongoDB are adopted again, and removed after an erasure")}
}

// run makes passes until ctx ends.
func (a *adopter) run(ctx context.Context) {
	defer a.giveUp(context.WithoutCancel(ctx))
	for pause := adoptInterval; wait.For(ctx, pause) == nil; {
		began := time.Now()
		full := false
		err := a.guard.Do("adopter", func() (err error) {
			full, err = a.pass(ctx)
			return err
		})
		pause = pauseAfter(time.Since(began), full)
		if ctx.Err() != nil {
			return
		}
		a.outage.Note(err)
	}
}

// pauseAfter returns the pause after a pass that took so long. full says that the pass has
// left documents for the next.
func pauseAfter(pass time.Duration, full bool) time.Duration {
	if full {
		return adoptInterval
	}
	return min(max(adoptInterval, adoptShare*pass), maxAdoptPause)
}

// pass makes one pass, unless another process has the lease. full says that it has left
// documents for the next.
func (a *adopter) pass(ctx context.Context) (full bool, err error) {
	began := time.Now()
	again, held, err := a.lease(ctx, nil)
	if err != nil || !held {
		return false, err
	}
	// When the log does not answer, use the erasures that are known.
	jobs, unknown := a.erased.update(ctx, a.cfg.ReadTimeout)
	if len(jobs) > 0 {
		a.looks.hasten(jobs)
	}
	full, err = a.work(ctx, again)
	if err = errors.Join(err, unknown); err == nil && !full {
		a.whole = began
	}
	return full, err
}

// work makes one pass under the lease. again is the note of the pass before.
func (a *adopter) work(ctx context.Context, again worked) (full bool, err error) {
	// Another process may have taken the lease since this one used it, and replaced the
	// note before the last write of this one ended.
	again.add(a.noted)
	found, err := a.find(ctx, again)
	if err != nil {
		return false, err
	}
	if err := a.removeErased(ctx, found.erased); err != nil {
		return false, err
	}
	a.metrics.erased.Add(float64(len(found.erased)))
	pairs, partly := a.match(ctx, found)
	// Remove the surplus while the earlier note still names it. Then note the new work
	// before doing it: the next pass, in whichever process, examines these
	// jobs again, and finds what an interruption, or another process at the same work, has
	// left.
	mended, err := a.removeSurplus(ctx, found.surplus)
	a.metrics.adopted.Add(float64(mended))
	if err != nil || len(pairs) == 0 {
		return found.full, errors.Join(err, partly)
	}
	all := len(pairs)
	note, pairs := workedOn(pairs)
	if _, held, err := a.lease(ctx, &note); err != nil || !held {
		return false, errors.Join(err, partly)
	}
	a.noted = note
	mended, err = a.adopt(ctx, pairs, a.keepLease)
	a.metrics.adopted.Add(float64(mended))
	if refused := (refusedError{}); errors.As(err, &refused) {
		for _, id := range refused.ids {
			a.looks.refuse(id, time.Now())
		}
		a.noteRefused(ctx, refused)
		err = nil
	}
	if errors.Is(err, errLeaseLost) {
		err = nil
	}
	return found.full || len(pairs) < all, errors.Join(err, partly)
}

// match returns the pairs among the documents that were found and their records. Where one
// part of them cannot be looked up, it returns the pairs of the others and the error.
func (a *adopter) match(ctx context.Context, found found) (pairs []pair, err error) {
	now := time.Now()
	look := func(docs []twin, filter func([]twin) bson.D) {
		if len(docs) == 0 {
			return
		}
		m := newMatching(docs)
		if failed := a.among(ctx, m, unadopted(filter(docs))); failed != nil {
			err = errors.Join(err, failed)
			return
		}
		pairs = append(pairs, free(m.pairs(), pairs)...)
	}
	look(found.recent, narrowFilter)
	look(slices.DeleteFunc(unpaired(found.recent, pairs), func(t twin) bool { return !a.looks.noteWidely(string(t.id), now) }), wideFilter)
	look(found.older, wideFilter)
	return pairs, err
}

// noteRefused counts documents that MongoDB has refused to adopt, and logs them once for
// all that were found together.
func (s *Store) noteRefused(ctx context.Context, refused refusedError) {
	s.metrics.refused.Add(float64(len(refused.ids)))
	s.logger.WarnContext(ctx, "MongoDB refuses to adopt workers' documents: their events stand twice. The others are adopted",
		slog.Int("documents", len(refused.ids)), slog.Int("code", refused.code))
}

// found is what one pass works on.
type found struct {
	recent, older []twin // documents without a sequence whose records are to be looked for
	erased        bson.A // the _ids of documents of erased events
	surplus       surplus
	full          bool // there are more
}

// find finds what one pass works on.
func (a *adopter) find(ctx context.Context, again worked) (f found, err error) {
	ctx, cancel := context.WithTimeout(ctx, a.cfg.WriteTimeout)
	defer cancel()
	var ids []bson.RawValue
	var more bool
	group, groupCtx := errgroup.WithContext(ctx)
	a.join(group, func() (err error) { ids, more, err = a.recent(groupCtx); return err })
	a.join(group, func() (err error) { f.surplus, err = a.surplus(groupCtx, again); return err })
	a.join(group, func() error { return a.hasten(groupCtx) })
	if err := group.Wait(); err != nil {
		return found{}, err
	}
	a.looks.keep(ids)
	now := time.Now()
	due := a.looks.due(ids, now)
	if f.full = len(due) > a.reach.due; f.full {
		due = due[:a.reach.due]
	}
	var older []twin
	group, groupCtx = errgroup.WithContext(ctx)
	a.join(group, func() (err error) {
		f.recent, err = a.named(groupCtx, due)
		return err
	})
	a.join(group, func() (err error) {
		if more {
			older, err = a.page(groupCtx, ids[len(ids)-1])
		}
		return err
	})
	if err := group.Wait(); err != nil {
		return found{}, err
	}
	f.older = older
	for _, docs := range []*[]twin{&f.recent, &f.older} {
		*docs = slices.DeleteFunc(*docs, func(t twin) bool {
			if t.erased {
				f.erased = append(f.erased, t.idValue())
			}
			return t.erased
		})
	}
	for _, t := range f.recent {
		a.looks.note(string(t.id), t.key.jobID, now)
	}
	noEvent := func(t twin) bool { return t.key.jobID == "" }
	f.recent, f.older = slices.DeleteFunc(f.recent, noEvent), slices.DeleteFunc(f.older, noEvent)
	return f, nil
}

// hasten makes documents due whose jobs have records that were projected since the last
// pass.
func (a *adopter) hasten(ctx context.Context) error {
	seen, err := a.witness(ctx)
	if err != nil {
		return err
	}
	jobs := a.looks.jobs(maxAgain)
	for epoch, sequence := range seen.through {
		last, found := a.through[epoch]
		if !found || sequence == last || len(jobs) == 0 {
			continue
		}
		// Several processes write batches at the same time, and an earlier batch may be
		// written later.
		since := last - int64(batchesAtOnce*a.cfg.MaxBatch)
		filter := bson.D{{Key: fieldJobID, Value: bson.D{{Key: "$in", Value: jobs}}}, {Key: fieldSequence, Value: bson.D{{Key: "$gt", Value: max(since, 0)}}}, {Key: fieldEpoch, Value: epoch}}
		hastened := make(map[string]bool)
		if err := a.eachEvent(ctx, unadopted(filter), bson.D{}, func(doc bson.Raw) bool {
			hastened[text(doc, fieldJobID)] = true
			return true
		}, fieldJobID); err != nil {
			return err
		}
		a.looks.hasten(hastened)
	}
	a.through = seen.through
	return nil
}

// batchesAtOnce is the assumed maximum of batches of the history that are written at the
// same time, one by each process. A document whose record is written later than that is
// adopted after the next search for it.
const batchesAtOnce = 16

// surplus returns the documents in excess among those that the pass before has
// worked on.
func (a *adopter) surplus(ctx context.Context, again worked) (surplus, error) {
	if len(again.Jobs) == 0 {
		return surplus{}, nil
	}
	m := newMatching(nil)
	filter := bson.D{
		{Key: fieldJobID, Value: bson.D{{Key: "$in", Value: again.Jobs}}},
		{Key: fieldSequence, Value: bson.D{{Key: "$gte", Value: again.First}, {Key: "$lte", Value: again.Last}}},
	}
	err := a.eachEvent(ctx, filter, byJob, func(doc bson.Raw) bool { m.add(doc); return true },
		fieldJobID, fieldSequence, fieldEpoch, fieldLogStoredAt)
	m.endGroup()
	return m.surplus, err
}

// keepLease renews the lease during the work of a pass. It fails when another process has
// it.
func (a *adopter) keepLease(ctx context.Context) error {
	if time.Since(a.leased) < leaseTime/3 {
		return nil
	}
	_, held, err := a.lease(ctx, nil)
	if err == nil && !held {
		err = errLeaseLost
	}
	return err
}

// errLeaseLost ends a pass when another process has begun one. The other one goes on.
var errLeaseLost = errors.New("another process has taken the lease of the adoption")
