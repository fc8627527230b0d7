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

// matches reports whether a record lies within the time bounds, and whether
// records older than it can.
func (q eventsQuery) matches(record messaging.Record) bool {
	if q.sinceTime.IsZero() && q.beforeTime.IsZero() {
		return true
	}
	emitted, err := time.Parse(time.RFC3339, record.EmittedAt)
	if err != nil {
		return false
	}
	return (q.sinceTime.IsZero() || emitted.After(q.sinceTime)) && (q.beforeTime.IsZero() || emitted.Before(q.beforeTime))
}

// maxWalk bounds how many records a query by time looks at.
const maxWalk = 20_000

// walkBack returns the newest records that match, newest first. Order is by
// sequence; a bound on the time only leaves records out.
func (h *history) walkBack(ctx context.Context, at place, query eventsQuery) ([]messaging.Record, error) {
	var found []messaging.Record
	before := query.before
	for walked := 0; walked < maxWalk; {
		size := max(query.limit, pageEvents)
		if query.sinceTime.IsZero() && query.beforeTime.IsZero() {
			size = query.limit
		}
		records, _, err := h.before(ctx, at, before, size)
		if err != nil {
			return nil, err
		}
		for _, record := range slices.Backward(records) {
			if query.matches(record) {
				found = append(found, record)
				if len(found) == query.limit {
					return found, nil
				}
			}
		}
		walked += len(records)
		if len(records) < size || records[0].Sequence == 0 {
			break
		}
		before = records[0].Sequence
	}
	return found, nil
}

// recordsAfter returns the oldest limit records with a sequence above after.
func (h *history) recordsAfter(ctx context.Context, at place, after uint64, limit int) ([]messaging.Record, error) {
	if records, ok := h.projected(ctx, at, after, limit); ok {
		return records, nil
	}
	return h.log.ReadAfter(ctx, at.jobID, after, limit)
}
