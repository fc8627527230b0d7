package fanout

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

// eventsQuery is what a REST client asks for. Zero bounds are no bounds.
type eventsQuery struct {
	limit int
	// resumes asks for what follows since, oldest first.
	resumes bool
	since   messaging.Position
	before  messaging.Position
	// sinceTime and beforeTime bound emittedAt, both exclusive.
	sinceTime, beforeTime time.Time
}

func parseEventsQuery(values url.Values, defaultLimit int) (eventsQuery, error) {
	query := eventsQuery{limit: defaultLimit}
	if text := values.Get("limit"); text != "" {
		limit, err := strconv.Atoi(text)
		if err != nil || limit < 1 || limit > maxPage {
			return query, fmt.Errorf("limit is %.32q: want a whole number from 1 to %d", text, maxPage)
		}
		query.limit = limit
	}
	var err error
	if query.before, query.beforeTime, _, err = parseBound("before", values.Get("before")); err != nil {
		return query, err
	}
	query.since, query.sinceTime, query.resumes, err = parseBound("since", values.Get("since"))
	if err == nil && query.resumes && (query.before != messaging.Position{} || !query.beforeTime.IsZero()) {
		err = fmt.Errorf("since as a position and before cannot be combined: leave one out")
	}
	return query, err
}

// parseBound reads a position or an RFC 3339 time. A time has a colon too, but never
// only digits after its first one.
func parseBound(name, text string) (position messaging.Position, at time.Time, isPosition bool, err error) {
	if text == "" {
		return position, at, false, nil
	}
	if position, err = messaging.ParsePosition(text); err == nil {
		return position, at, true, nil
	}
	if at, err = time.Parse(time.RFC3339, text); err == nil {
		return messaging.Position{}, at, false, nil
	}
	return messaging.Position{}, time.Time{}, false, fmt.Errorf("%s is %.64q: want a sequence or an RFC 3339 time, or EPOCH:SEQUENCE", name, text)
}

// matches reports whether a record lies within the time bounds.
func (q eventsQuery) matches(record messaging.Record) bool {
	if !q.byTime() {
		return true
	}
	emitted, err := time.Parse(time.RFC3339, record.EmittedAt)
	if err != nil {
		return false
	}
	return (q.sinceTime.IsZero() || emitted.After(q.sinceTime)) && (q.beforeTime.IsZero() || emitted.Before(q.beforeTime))
}

// maxWalk bounds how many records one query looks at.
const maxWalk = 20_000

// byTime reports whether the query has a bound on the time.
func (q eventsQuery) byTime() bool { return !q.sinceTime.IsZero() || !q.beforeTime.IsZero() }

// listed says what a query has led to, beside the records.
type listed struct {
	// incomplete: MongoDB, which may alone have some of the records, does not answer
	// now. Nobody is kept waiting for it who can ask again.
	incomplete bool
	// epoch and through are the position up to which the client has what there is,
	// once it has the page: from there it goes on.
	epoch   string
	through uint64
	// gap, nil without one, is the part of the history that cannot be had.
	gap *messaging.Gap
}

// position returns where to go on from, as the client is told it.
func (l listed) position() string { return positionText(l.epoch, l.through) }

// list gives show the records that a query asks for, in its order, until limit
// of them were shown. show reports whether it could show one.
func (h *history) list(ctx context.Context, at place, query eventsQuery, show func(messaging.Record) bool) (found listed, err error) {
	found.epoch, found.through = at.epoch, at.head
	err = h.flights.bounded(ctx, func(ctx context.Context) (err error) {
		if query, err = h.locateQuery(ctx, at, query, &found); err != nil {
			return err
		}
		if query.resumes {
			return h.walkOn(ctx, at, query, show, &found)
		}
		return h.walkBack(ctx, at, query, show, &found)
	})
	return found, err
}

// locateQuery returns the query with bounds that count in this life of the log. A
// position that it never gave out is a gap, as on a subscription, and what stands in
// its place are the newest records: oldest first for a client that goes on.
func (h *history) locateQuery(ctx context.Context, at place, query eventsQuery, found *listed) (eventsQuery, error) {
	asked := query.before
	if query.resumes {
		asked = query.since
	}
	if (asked == messaging.Position{}) {
		return query, nil
	}
	known := asked.Epoch == "" || asked.Epoch == at.epoch
	if known && (asked.Sequence <= at.head || !query.resumes) {
		return query, nil
	}
	extent, err := h.log.Extent(ctx)
	switch {
	case err != nil:
		return query, err
	case extent.Epoch != at.epoch:
		return query, errRenewed
	case known && asked.Sequence <= extent.Last:
		return query, nil
	}
	found.gap = &messaging.Gap{
		JobID: at.jobID, Requested: asked.Sequence, FirstAvailable: extent.First, Reason: messaging.GapEpoch, Epoch: at.epoch,
	}
	query.before = messaging.Position{}
	if !query.resumes {
		return query, nil
	}
	// The newest ones are found first, without showing any.
	oldest := at.head + 1
	err = h.walkBack(ctx, at, eventsQuery{limit: query.limit}, func(record messaging.Record) bool {
		if record.Sequence > 0 {
			oldest = min(oldest, record.Sequence)
		}
		return true
	}, &listed{})
	query.since = messaging.Position{Epoch: at.epoch, Sequence: oldest - 1}
	return query, err
}

// walkOn shows the oldest records after a sequence.
func (h *history) walkOn(ctx context.Context, at place, query eventsQuery, show func(messaging.Record) bool, found *listed) error {
	after, shown, away := query.since.Sequence, 0, h.mongoAway()
	found.through = after
	if at.kept > 0 && after < at.kept {
		found.miss(at, after, at.kept, messaging.GapErased)
		after = at.kept - 1
	}
	for walked := 0; walked < maxWalk && shown < query.limit; {
		records, known := h.projectedAfter(ctx, at, after, query.limit, false)
		if len(records) == 0 {
			var err error
			if records, err = h.log.ReadAfter(ctx, at.jobID, after, query.limit); err != nil {
				return err
			}
			first, err := h.firstAvailable(ctx, at.epoch, records)
			switch {
			case errors.Is(err, errRenewed) && shown > 0:
				return nil // the next page says so
			case err != nil:
				return err
			case (away || h.mongoAway()) && first > after+1:
				found.incomplete = true
			case first > known+1:
				if records, err = h.lateAfter(ctx, at, after, query.limit, first, records, found); err != nil {
					return err
				}
			}
		}
		for _, record := range records {
			if shown == query.limit {
				break
			}
			if after = record.Sequence; show(record) {
				shown++
			}
		}
		if len(records) == 0 {
			break
		}
		walked += len(records)
	}
	if !found.incomplete { // the next page asks for the same once more otherwise
		found.through = max(found.through, after)
	}
	return nil
}

// lateAfter asks MongoDB once more, and waits for it, about what the log no longer
// has after a sequence. What neither has is a gap.
func (h *history) lateAfter(ctx context.Context, at place, after uint64, limit int, first uint64, logged []messaging.Record, found *listed) ([]messaging.Record, error) {
	if h.projection != nil {
		h.forgetFloor()
		records, known := h.projectedAfter(ctx, at, after, limit, true)
		if len(records) > 0 {
			return records, nil
		}
		if first <= known+1 {
			return logged, nil
		}
	}
	found.miss(at, after, first, messaging.GapRetention)
	found.through = max(found.through, first-1)
	return logged, nil
}

// miss notes a gap, unless one is noted already.
func (l *listed) miss(at place, requested, firstAvailable uint64, reason messaging.GapReason) {
	if l.gap == nil {
		l.gap = &messaging.Gap{JobID: at.jobID, Requested: requested, FirstAvailable: firstAvailable, Reason: reason, Epoch: at.epoch}
	}
}

// walkBack shows the newest records that match, newest first. Order is by
// sequence; a bound on the time only leaves records out.
func (h *history) walkBack(ctx context.Context, at place, query eventsQuery, show func(messaging.Record) bool, found *listed) error {
	shown, away := 0, h.mongoAway()
	page := func(records []messaging.Record) (enough bool) {
		for _, record := range slices.Backward(records) {
			found.through = max(found.through, record.Sequence)
			if shown < query.limit && query.matches(record) && show(record) {
				shown++
			}
		}
		return shown == query.limit
	}
	size := query.limit
	if query.byTime() {
		size = max(size, maxPageEvents)
	}
	for before, walked := query.before.Sequence, 0; ; walked += size {
		records, _, err := h.before(ctx, at, before, size)
		if err != nil {
			return err
		}
		if page(records) || walked >= maxWalk {
			return nil
		}
		if len(records) < size {
			break
		}
		before = records[0].Sequence
	}
	older := legacyEvents
	if !query.byTime() {
		older = query.limit - shown
	}
	enough := page(h.legacy(ctx, at.jobID, older))
	found.incomplete = !enough && (away || h.mongoAway())
	return nil
}
