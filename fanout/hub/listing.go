package hub

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

// maxWalk bounds how many records one query looks at.
const maxWalk = 20_000

// MaxPage bounds the limit of a [Query].
const MaxPage = 1000

// Query says which of a job's records a listing has.
type Query struct {
	// Limit is how many records there are at most, from 1 to [MaxPage].
	Limit int
	// Resumes asks for the records after Since, oldest first. Otherwise the newest records
	// are listed, newest first.
	Resumes bool
	Since   messaging.Position
	// Before is the position that the newest records precede; nil is no bound.
	Before *messaging.Position
	// SinceTime and BeforeTime bound emittedAt, both exclusive; nil is no bound.
	SinceTime, BeforeTime *time.Time
}

// matches reports whether a record lies within the time bounds.
func (q Query) matches(record messaging.Record) bool {
	if !q.byTime() {
		return true
	}
	emitted, err := time.Parse(time.RFC3339, record.EmittedAt)
	if err != nil {
		return false
	}
	return (q.SinceTime == nil || emitted.After(*q.SinceTime)) && (q.BeforeTime == nil || emitted.Before(*q.BeforeTime))
}

// byTime reports whether the query has a bound on the time.
func (q Query) byTime() bool { return q.SinceTime != nil || q.BeforeTime != nil }

// Listed is the result of a query, beside the records.
type Listed struct {
	// Incomplete is set when MongoDB does not answer now, which may be the only store of
	// some of the records. The client can repeat the query, so the listing does not wait.
	Incomplete bool
	// Epoch and Through are the position after which the client continues: with the page
	// it has all records up to there.
	Epoch   string
	Through uint64
	// Gap is the part of the history that is not available; nil for none.
	Gap *messaging.Gap
}

// Position returns the position after which the client continues, in the form that
// clients use.
func (l Listed) Position() string {
	return positionText(messaging.Position{Epoch: l.Epoch, Sequence: l.Through})
}

// miss sets the gap of the listing, unless it is set already.
func (l *Listed) miss(at place, requested, firstAvailable uint64, reason messaging.GapReason) {
	if l.Gap == nil {
		l.Gap = &messaging.Gap{JobID: at.jobID, Requested: requested, FirstAvailable: firstAvailable, Reason: reason, Epoch: at.epoch}
	}
}

// behindTries bounds how often a request waits for a replica of the log.
const behindTries = 4

// List passes the records that a query asks for to show, in the query's order, until
// Limit of them were shown. It does not follow the job. client has a fair share of the
// slots of reads and of the memory. show reports whether it could show the record; it is
// called between reads, so that a slow client occupies no slot. An error of show ends the
// listing.
//
// List fails with [ErrNoMemory] when the listings in flight hold all the memory that they
// may.
func (h *Hub) List(
	ctx context.Context, client, jobID string, query Query, show func(messaging.Record) (bool, error),
) (found Listed, err error) {
	by := asker{class: classREST, claim: claimOf(client)}
	if query.byTime() {
		by.class = classTime
	}
	held := &memoryShare{of: h.memory, client: client}
	showKept := func(record messaging.Record) (bool, error) {
		if h.erased.covers(record) {
			return false, nil
		}
		return show(record)
	}
	if err := h.ensureErasures(ctx); err != nil {
		return found, err
	}
	for tries := 0; ; {
		at, err := h.locate(ctx, jobID)
		if err != nil {
			return found, err
		}
		found, err := h.history.list(ctx, by, held, at, query, showKept)
		waits := errors.Is(err, errBehind) || errors.Is(err, errRenewed)
		if !waits || tries == behindTries || !h.retry(ctx, err, &tries) {
			return found, err
		}
	}
}

// locate returns the place of a job in the log, from the job's room, or from the log.
func (h *Hub) locate(ctx context.Context, jobID string) (place, error) {
	h.mu.RLock()
	room := h.rooms[jobID]
	h.mu.RUnlock()
	if room != nil {
		select {
		case <-room.opened:
			return room.place(), nil
		default:
		}
	}
	extent, err := h.log.Extent(ctx)
	if err != nil {
		return place{}, err
	}
	at := place{jobID: jobID, epoch: extent.Epoch, erased: h.erased.of(jobID), current: true}
	at.head, err = h.history.lastSequence(ctx, at)
	return at, err
}

// list is [Hub.List] for a job whose place is known. It holds one page at a time, whose
// size counts as held memory. When it returns errBehind or errRenewed, nothing was shown.
func (h *history) list(
	ctx context.Context, by asker, held *memoryShare, at place, query Query, show func(messaging.Record) (bool, error),
) (Listed, error) {
	w := walk{h: h, by: by, held: held, at: at, query: query, show: show, away: h.mongoAway()}
	w.found.Epoch, w.found.Through = at.epoch, at.head
	defer held.set(0)
	err := w.orient(ctx)
	switch {
	case err != nil:
	case w.query.Resumes:
		err = w.forward(ctx)
	default:
		err = w.back(ctx)
	}
	return w.found, err
}

// walk is the state of one query.
type walk struct {
	h     *history
	by    asker
	held  *memoryShare
	at    place
	query Query
	show  func(messaging.Record) (bool, error)
	shown int
	found Listed
	// away is set when MongoDB did not answer at the start.
	away bool
}

// orient checks that the log gave out the positions of the query in its present epoch. If
// not, there is a gap, as on a subscription, and the newest records are listed instead:
// oldest first for a query that resumes.
func (w *walk) orient(ctx context.Context) error {
	var asked messaging.Position
	switch {
	case w.query.Resumes:
		asked = w.query.Since
	case w.query.Before != nil:
		asked = *w.query.Before
	default:
		return nil
	}
	known := asked.Epoch == "" || asked.Epoch == w.at.epoch
	if known && (asked.Sequence <= w.at.head || !w.query.Resumes) {
		return nil
	}
	return w.h.flights.bounded(ctx, w.by, func(ctx context.Context) error {
		extent, err := w.h.log.Extent(ctx)
		switch {
		case err != nil:
			return err
		case extent.Epoch != w.at.epoch:
			return errRenewed
		case known && asked.Sequence <= extent.Last:
			return nil
		}
		w.found.miss(w.at, asked.Sequence, extent.First, messaging.GapEpoch)
		w.query.Before = nil
		if !w.query.Resumes {
			return nil
		}
		span, _, err := w.h.locate(ctx, w.at, w.query.Limit)
		w.query.Since = messaging.Position{Epoch: w.at.epoch, Sequence: w.at.head}
		if span.First > 0 {
			w.query.Since.Sequence = span.First - 1
		}
		return err
	})
}

// enough reports whether all that was asked for has been shown.
func (w *walk) enough() bool { return w.shown >= w.query.Limit }

// hand shows one record, if the query asks for it.
func (w *walk) hand(record messaging.Record) error {
	if w.enough() || !w.query.matches(record) {
		return nil
	}
	ok, err := w.show(record)
	if ok {
		w.shown++
	}
	return err
}

// read runs one read of at most a page, when a slot and memory are free.
func (w *walk) read(ctx context.Context, read func(context.Context) ([]messaging.Record, error)) (records []messaging.Record, err error) {
	if err := w.held.reserve(ctx); err != nil {
		return nil, err
	}
	err = w.h.flights.bounded(ctx, w.by, func(ctx context.Context) error {
		records, err = read(ctx)
		return err
	})
	w.held.set(int64(bodyBytes(records)))
	return records, err
}

// forward shows the oldest records after a sequence.
func (w *walk) forward(ctx context.Context) error {
	after := w.query.Since.Sequence
	w.found.Through = after
	if kept := w.at.firstKept(); kept > 0 && after < kept {
		w.found.miss(w.at, after, kept, messaging.GapErased)
		after = kept - 1
	}
	for walked := 0; walked < maxWalk && !w.enough(); {
		records, err := w.following(ctx, after)
		if errors.Is(err, errRenewed) && w.shown > 0 {
			return nil // the query for the next page reports the gap
		}
		if err != nil {
			return err
		}
		for _, record := range records {
			if w.enough() {
				break
			}
			after = record.Sequence
			if err := w.hand(record); err != nil {
				return err
			}
		}
		if len(records) == 0 {
			break
		}
		walked += len(records)
	}
	if !w.found.Incomplete { // Otherwise the next query has to repeat this one.
		w.found.Through = max(w.found.Through, after)
	}
	return nil
}

// following reads a page after a sequence.
func (w *walk) following(ctx context.Context, after uint64) ([]messaging.Record, error) {
	h := w.h
	return w.read(ctx, func(ctx context.Context) ([]messaging.Record, error) {
		if records := h.cachedRecords(w.at, after, w.query.Limit); len(records) > 0 {
			return records, nil
		}
		records, known := h.projectedAfter(ctx, w.at, after, w.query.Limit, false)
		if len(records) > 0 {
			h.cache.put(w.at, after, records, nil)
			return records, nil
		}
		records, err := h.log.ReadAfter(ctx, w.at.jobID, after, w.query.Limit)
		if err != nil {
			return nil, err
		}
		first, err := h.firstAvailable(ctx, w.at.epoch, records)
		switch {
		case err != nil:
			return nil, err
		case (w.away || h.mongoAway()) && first-1 > after:
			w.found.Incomplete = true
		case first-1 > known:
			return w.late(ctx, after, first, records), nil
		}
		h.cache.put(w.at, max(after+1, first)-1, records, nil)
		return records, nil
	})
}

// late queries MongoDB again, without the shorter time limit, for records after a sequence
// that the log no longer has. If MongoDB has none either, there is a gap.
func (w *walk) late(ctx context.Context, after, first uint64, logged []messaging.Record) []messaging.Record {
	if w.h.projection != nil {
		w.h.forgetFloor()
		records, known := w.h.projectedAfter(ctx, w.at, after, w.query.Limit, true)
		if len(records) > 0 {
			return records
		}
		if first <= known+1 {
			return logged
		}
	}
	w.found.miss(w.at, after, first, messaging.GapRetention)
	w.found.Through = max(w.found.Through, first-1)
	return logged
}

// back shows the newest records that match, newest first. The order is that of sequences;
// a bound on the time selects among them, and limits the search, see maxSkew.
func (w *walk) back(ctx context.Context) error {
	back := &backward{walk: w, before: math.MaxUint64}
	if w.query.Before != nil {
		back.before = w.query.Before.Sequence
	}
	if back.before == 0 {
		return nil // no record precedes 0
	}
	if bound := w.query.BeforeTime; bound != nil && bound.Before(time.Now()) {
		begin, err := w.beginAt(ctx, *bound)
		if err != nil {
			return err
		}
		back.before = min(back.before, begin)
	}
	size := w.query.Limit
	oldest := lowerBound{at: w.query.SinceTime}
	ended := false
	for walked := 0; !w.enough() && !ended; {
		if walked >= maxWalk {
			return nil
		}
		records, err := back.next(ctx, size)
		if err != nil {
			return err
		}
		if len(records) == 0 {
			break
		}
		w.found.Through = max(w.found.Through, lastSequence(records))
		for _, record := range slices.Backward(records) {
			// Erased records are read for one page at most: the job may be long, and the
			// stores are busy removing it.
			if ended = record.Sequence < w.at.firstKept() || oldest.ends(storedAt(record)); ended {
				break
			}
			if err := w.hand(record); err != nil {
				return err
			}
		}
		walked += len(records)
		if w.query.byTime() {
			size = max(size, maxPageEvents)
		}
	}
	if err := w.legacy(ctx); err != nil {
		return err
	}
	w.found.Incomplete = !w.enough() && (w.away || w.h.mongoAway())
	return nil
}

// legacy shows the documents of older writers, newest first.
func (w *walk) legacy(ctx context.Context) error {
	if w.enough() || len(w.at.erased) > 0 {
		return nil
	}
	count := legacyEvents
	if !w.query.byTime() {
		count = w.query.Limit - w.shown
	}
	var names []string
	err := w.h.flights.bounded(ctx, w.by, func(ctx context.Context) (err error) {
		names, err = w.h.findLegacy(ctx, w.at.jobID, count)
		return err
	})
	slices.Reverse(names)
	oldest := lowerBound{at: w.query.SinceTime}
	for err == nil && len(names) > 0 && !w.enough() {
		var records []messaging.Record
		records, err = w.read(ctx, func(ctx context.Context) ([]messaging.Record, error) {
			page, taken := w.h.readLegacy(ctx, w.at.jobID, names)
			names = names[taken:]
			return page, nil
		})
		for _, record := range records {
			if oldest.ends(emittedTime(record)) {
				return nil
			}
			if err := w.hand(record); err != nil {
				return err
			}
		}
	}
	return err
}
