package projections

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/letswriteabook/realtime/internal/wait"
)

// The pace of the adopter. Programs that read the collection and know nothing of the
// projection see an event twice for two passes at most.
const (
	adoptInterval = 500 * time.Millisecond
	// adoptShare bounds the time that passes take: one that took a second is followed by
	// a pause of four.
	adoptShare       = 4
	maxAdoptInterval = 15 * time.Second
	// adoptPage is how many workers' documents one page has.
	adoptPage = 500
	// tailWindow is how far back the newest documents are looked at in every pass.
	tailWindow = 2 * time.Minute
	// narrowWindow is about the documents' times, for the first look for their records.
	narrowWindow = 10 * time.Second
	// A document without a record is looked at again every lookInterval, and once it was
	// in lookPatience every lateInterval.
	lookInterval = time.Second
	lookPatience = time.Hour
	lateInterval = 5 * time.Minute
	// maxLooked bounds what is remembered of such documents, some 100 bytes each.
	maxLooked = 20_000
)

// adopter finds the documents that workers write into novel_job_events themselves and
// has them adopted, see [pair]. It removes those of erased events, see erased.go. One
// goroutine runs it.
//
// It finds them by the index on sequence and _id, which has what is without a sequence in
// the order of its making: the newest in each pass, and beside them a page of all others,
// so that a document is found however old it is.
type adopter struct {
	*Store
	holder string
	sweep  bson.ObjectID // where the next page of all documents begins
	looked map[string]look
	noted  worked // what this process last noted in the lease
	erased *erased
	down   bool // the last pass failed
}

// look is what is remembered of a document whose record was not found.
type look struct {
	first, last time.Time
	count       int
}

// due reports whether the record is to be looked for now.
func (l look) due(now time.Time) bool {
	if now.Sub(l.first) < lookPatience {
		return now.Sub(l.last) >= lookInterval
	}
	return now.Sub(l.last) >= lateInterval
}

func (s *Store) newAdopter() *adopter {
	return &adopter{Store: s, holder: bson.NewObjectID().Hex(), looked: make(map[string]look), erased: s.newErased()}
}

// run makes passes until ctx ends.
func (a *adopter) run(ctx context.Context) {
	defer a.giveUp(context.WithoutCancel(ctx))
	for pause := adoptInterval; wait.For(ctx, pause) == nil; {
		began := time.Now()
		err := a.guard.Do("adopter", func() error { return a.pass(ctx) })
		pause = min(max(adoptInterval, adoptShare*time.Since(began)), maxAdoptInterval)
		if ctx.Err() != nil {
			return
		}
		a.report(ctx, err)
	}
}

// report logs a change between working and failing, once.
func (a *adopter) report(ctx context.Context, err error) {
	if down := err != nil; down != a.down {
		a.down = down
		if down {
			a.logger.WarnContext(ctx, "Workers' documents in MongoDB are not adopted, or not removed after an erasure; repeating until they are", slog.Any("error", err))
		} else {
			a.logger.InfoContext(ctx, "Workers' documents in MongoDB are adopted again, and removed after an erasure")
		}
	}
}

// pass makes one pass, if no other process is at it.
func (a *adopter) pass(ctx context.Context) error {
	again, held, err := a.lease(ctx, nil)
	if err != nil || !held {
		return err
	}
	// The log may be away while MongoDB is there. Then the erasures that are known count.
	unknown := a.erased.learn(ctx, a.cfg.ReadTimeout)
	return errors.Join(a.work(ctx, again), unknown)
}

// work makes one pass under the lease. again is the note of the pass before.
func (a *adopter) work(ctx context.Context, again worked) error {
	// Another process may have had the lease since this one worked, and have replaced the
	// note before this one's last write was done.
	again.add(a.noted)
	workers, late, err := a.due(ctx)
	if err != nil {
		return err
	}
	if err := a.removeErased(ctx, late); err != nil {
		return err
	}
	a.metrics.erased.Add(float64(len(late)))
	if len(workers) == 0 && len(again.Jobs) == 0 {
		return nil
	}
	narrow := newMatching(workers)
	if err := a.among(ctx, narrow, narrowFilter(workers, again)); err != nil {
		return err
	}
	pairs, left := narrow.pairs(), narrow.surplus
	if rest := a.widely(unpaired(workers, pairs)); len(rest) > 0 {
		wide := newMatching(rest)
		if err := a.among(ctx, wide, wideFilter(rest)); err != nil {
			return err
		}
		pairs = append(pairs, free(wide.pairs(), pairs)...)
		left.add(wide.surplus)
	}
	for _, p := range pairs {
		delete(a.looked, string(p.worker.id))
	}
	// What was left over is settled while the earlier note still names it. Then the new
	// work is noted, before it is done: whoever makes the next pass looks at these jobs
	// again, and finds what an interruption, or another process at the same work, has left.
	mended, err := a.settle(ctx, nil, left)
	a.metrics.adopted.Add(float64(mended))
	if err != nil {
		return err
	}
	note, pairs := workedOn(pairs)
	if _, held, err := a.lease(ctx, &note); err != nil || !held {
		return err
	}
	a.noted = note
	mended, err = a.settle(ctx, pairs, surplus{})
	a.metrics.adopted.Add(float64(mended))
	return err
}

// due returns the workers' documents whose records are to be looked for, and the _ids of
// those whose event was erased.
func (a *adopter) due(ctx context.Context) (docs []twin, late bson.A, err error) {
	docs, more, err := a.page(ctx, a.sweep)
	if err != nil {
		return nil, nil, err
	}
	whole := a.sweep.IsZero() && !more
	a.sweep = bson.NilObjectID
	if more {
		a.sweep = lastObjectID(docs)
	}
	if !whole {
		newest := bson.NewObjectIDFromTimestamp(time.Now().Add(-tailWindow))
		for more := true; more && len(docs) < maxTwins; newest = lastObjectID(docs) {
			var page []twin
			if page, more, err = a.page(ctx, newest); err != nil {
				return nil, nil, err
			}
			docs = append(docs, page...)
		}
	}
	slices.SortStableFunc(docs, func(a, b twin) int { return bytes.Compare(a.id, b.id) })
	docs = slices.CompactFunc(docs, func(a, b twin) bool { return bytes.Equal(a.id, b.id) })
	if len(a.looked) > maxLooked {
		clear(a.looked)
	}
	now := time.Now()
	docs = slices.DeleteFunc(docs, func(t twin) bool {
		if t.erased {
			late = append(late, t.idValue())
			return true
		}
		l := a.looked[string(t.id)]
		if t.key.jobID == "" || !l.due(now) {
			return true
		}
		if l.count == 0 {
			l.first = now
		}
		l.last, l.count = now, l.count+1
		a.looked[string(t.id)] = l
		return false
	})
	return docs, late, nil
}

// widely returns the documents whose records are to be looked for among all of their
// jobs' records: at the first look, at the second, the fourth, and so on.
func (a *adopter) widely(docs []twin) []twin {
	return slices.DeleteFunc(docs, func(t twin) bool {
		count := a.looked[string(t.id)].count
		return count&(count-1) != 0
	})
}

// page returns a page of workers' documents with an _id above after, oldest first, and
// whether there may be more. Documents that are no events are in it with their _id alone.
func (a *adopter) page(ctx context.Context, after bson.ObjectID) (docs []twin, more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, a.cfg.WriteTimeout)
	defer cancel()
	filter := bson.D{{Key: fieldSequence, Value: nil}, {Key: fieldID, Value: bson.D{{Key: "$gt", Value: after}}}}
	err = a.eachEvent(ctx, filter, bson.D{{Key: fieldID, Value: 1}}, func(doc bson.Raw) bool {
		if doc.Lookup(fieldID).Type == bson.TypeObjectID {
			t, ok := twinOf(doc)
			if !ok {
				t = twin{id: idOf(doc)}
			}
			t.erased = a.erased.covers(doc)
			docs = append(docs, t)
		}
		more = len(docs) == adoptPage
		return !more
	})
	return docs, more, err
}

func lastObjectID(docs []twin) (id bson.ObjectID) {
	if len(docs) > 0 {
		copy(id[:], docs[len(docs)-1].id[1:])
	}
	return id
}

// unpaired returns the workers' documents that are in no pair.
func unpaired(workers []twin, pairs []pair) []twin {
	taken := make(map[string]bool, len(pairs))
	for _, p := range pairs {
		taken[string(p.worker.id)] = true
	}
	return slices.DeleteFunc(slices.Clone(workers), func(t twin) bool { return taken[string(t.id)] })
}

// free returns the pairs whose record is in none of the others.
func free(pairs, others []pair) []pair {
	taken := make(map[string]bool, len(others))
	for _, p := range others {
		taken[string(p.record.id)] = true
	}
	return slices.DeleteFunc(pairs, func(p pair) bool { return taken[string(p.record.id)] })
}

// narrowFilter matches the records that were emitted at about the time of the workers'
// documents, and what was worked on before. The index on jobId and emittedAt serves it,
// and for the latter that on jobId, sequence and epoch: an adopted document has the
// worker's emittedAt, which may be a date, and a record's may have an offset, so that
// times do not find all documents of a record.
func narrowFilter(workers []twin, again worked) bson.D {
	jobs, span := append([]string{}, again.Jobs...), worked{From: again.From, To: again.To}
	for _, t := range workers {
		if t.emitted.IsZero() {
			continue
		}
		jobs = append(jobs, t.key.jobID)
		span.span(t.emitted.Add(-narrowWindow))
		span.span(t.emitted.Add(narrowWindow))
	}
	slices.Sort(jobs)
	filter := bson.D{
		{Key: fieldJobID, Value: bson.D{{Key: "$in", Value: slices.Compact(jobs)}}},
		{Key: fieldEmittedAt, Value: bson.D{{Key: "$gte", Value: span.From}, {Key: "$lte", Value: span.To}}},
		{Key: fieldSequence, Value: bson.D{{Key: "$gt", Value: int64(0)}}},
	}
	if again.First == 0 {
		return filter
	}
	return bson.D{{Key: "$or", Value: bson.A{filter, bson.D{
		{Key: fieldJobID, Value: bson.D{{Key: "$in", Value: again.Jobs}}},
		{Key: fieldSequence, Value: bson.D{{Key: "$gte", Value: again.First}, {Key: "$lte", Value: again.Last}}},
	}}}}
}

// wideFilter matches all records that are near one of the workers' documents. The index
// on jobId, sequence and epoch serves it.
func wideFilter(workers []twin) bson.D {
	var jobs []string
	var emitted worked
	var from, to time.Time
	for _, t := range workers {
		jobs = append(jobs, t.key.jobID)
		if !t.emitted.IsZero() {
			emitted.span(t.emitted.Add(-twinWindow))
			emitted.span(t.emitted.Add(twinWindow))
		}
		if t.stored.IsZero() {
			continue
		}
		if at := t.stored.Add(-lateWindow); from.IsZero() || at.Before(from) {
			from = at
		}
		if at := t.stored.Add(twinWindow); at.After(to) {
			to = at
		}
	}
	slices.Sort(jobs)
	return bson.D{
		{Key: fieldJobID, Value: bson.D{{Key: "$in", Value: slices.Compact(jobs)}}},
		{Key: fieldSequence, Value: bson.D{{Key: "$gt", Value: int64(0)}}},
		{Key: "$or", Value: bson.A{
			bson.D{{Key: fieldEmittedAt, Value: bson.D{{Key: "$gte", Value: emitted.From}, {Key: "$lte", Value: emitted.To}}}},
			bson.D{{Key: fieldCreatedAt, Value: bson.D{{Key: "$gte", Value: from}, {Key: "$lte", Value: to}}}},
			// An adopted document has the worker's times.
			bson.D{{Key: fieldLogStoredAt, Value: bson.D{{Key: "$gte", Value: from}, {Key: "$lte", Value: to}}}},
		}},
	}
}
