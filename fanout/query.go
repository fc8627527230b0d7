package fanout

import (
	"context"
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
	since   uint64
	before  uint64
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
	if err == nil && query.resumes && (query.before > 0 || !query.beforeTime.IsZero()) {
		err = fmt.Errorf("since as a sequence and before cannot be combined: leave one out")
	}
	return query, err
}

// parseBound reads a sequence or an RFC 3339 time.
func parseBound(name, text string) (sequence uint64, at time.Time, isSequence bool, err error) {
	if text == "" {
		return 0, time.Time{}, false, nil
	}
	if sequence, err = strconv.ParseUint(text, 10, 64); err == nil {
		return sequence, time.Time{}, true, nil
	}
	if at, err = time.Parse(time.RFC3339, text); err == nil {
		return 0, at, false, nil
	}
	return 0, time.Time{}, false, fmt.Errorf("%s is %.64q: want a sequence or an RFC 3339 time", name, text)
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

// list gives show the records that a query asks for, in its order, until limit
// of them were shown. show reports whether it could show one. incomplete says that
// MongoDB, which may alone have some of them, does not answer now: nobody is kept
// waiting for it who can ask again.
func (h *history) list(ctx context.Context, at place, query eventsQuery, show func(messaging.Record) bool) (incomplete bool, err error) {
	walk := h.walkBack
	if query.resumes {
		walk = h.walkOn
	}
	err = h.flights.bounded(ctx, func(ctx context.Context) (err error) {
		incomplete, err = walk(ctx, at, query, show)
		return err
	})
	return incomplete, err
}

// walkOn shows the oldest records after a sequence.
func (h *history) walkOn(ctx context.Context, at place, query eventsQuery, show func(messaging.Record) bool) (incomplete bool, err error) {
	after, shown, away := query.since, 0, h.mongoAway()
	for walked := 0; walked < maxWalk && shown < query.limit; {
		records, _ := h.projectedAfter(ctx, at, after, query.limit, false)
		if len(records) == 0 {
			if records, err = h.log.ReadAfter(ctx, at.jobID, after, query.limit); err != nil {
				return incomplete, err
			}
			if away || h.mongoAway() {
				extent, err := h.log.Extent(ctx)
				if err != nil {
					return incomplete, err
				}
				incomplete = incomplete || extent.First > after+1
			}
		}
		for _, record := range records {
			if shown < query.limit && show(record) {
				shown++
			}
		}
		if len(records) == 0 {
			break
		}
		walked += len(records)
		after = lastSequence(records)
	}
	return incomplete, nil
}

// walkBack shows the newest records that match, newest first. Order is by
// sequence; a bound on the time only leaves records out.
func (h *history) walkBack(ctx context.Context, at place, query eventsQuery, show func(messaging.Record) bool) (incomplete bool, err error) {
	shown, away := 0, h.mongoAway()
	page := func(records []messaging.Record) (enough bool) {
		for _, record := range slices.Backward(records) {
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
	for before, walked := query.before, 0; ; walked += size {
		records, _, err := h.before(ctx, at, before, size)
		if err != nil {
			return false, err
		}
		if page(records) || walked >= maxWalk {
			return false, nil
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
	return !enough && (away || h.mongoAway()), nil
}
