package fanout

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

// eventsQuery is what a REST client asks for.
type eventsQuery struct {
	limit int
	// resumes asks for what follows since, oldest first.
	resumes bool
	since   messaging.Position
	// before is the position that the newest items precede; nil is no bound.
	before *messaging.Position
	// sinceTime and beforeTime bound emittedAt, both exclusive; nil is no bound.
	sinceTime, beforeTime *time.Time
	// warnings say what of the request was ignored or changed.
	warnings []string
}

func parseEventsQuery(values url.Values, defaultLimit int) (eventsQuery, error) {
	query := eventsQuery{limit: min(defaultLimit, maxPage)}
	query.readLimit(values.Get("limit"))
	query.warnUnknown(values)
	before, err := parseBound("before", values.Get("before"))
	if err != nil {
		return query, err
	}
	since, err := parseBound("since", values.Get("since"))
	if err != nil {
		return query, err
	}
	if since.position != nil && (before.position != nil || before.at != nil) {
		return query, fmt.Errorf("since as a position and before cannot be combined: leave one out")
	}
	query.sinceTime, query.before, query.beforeTime = since.at, before.position, before.at
	if since.position != nil {
		query.resumes, query.since = true, *since.position
	}
	return query, nil
}

// readLimit takes the limit as the API has always done: one out of the range counts
// as the nearest in it, and what is no number is ignored.
func (q *eventsQuery) readLimit(text string) {
	if text == "" {
		return
	}
	limit, err := strconv.Atoi(text) // out of its range, the nearest in it
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		q.warn("limit is %.32q: not a whole number, %d is used", text, q.limit)
		return
	}
	q.limit = min(max(limit, 1), maxPage)
	if q.limit != limit {
		q.warn("limit is %.32q: not from 1 to %d, %d is used", text, maxPage, q.limit)
	}
}

// maxWarnings bounds the warnings about one request.
const maxWarnings = 5

// warnUnknown says which parameters are ignored.
func (q *eventsQuery) warnUnknown(values url.Values) {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !slices.Contains([]string{"limit", "before", "since", "jobId"}, name) && len(q.warnings) < maxWarnings {
			q.warn("parameter %.32q is unknown, it is ignored", name)
		}
	}
}

func (q *eventsQuery) warn(format string, args ...any) {
	q.warnings = append(q.warnings, fmt.Sprintf(format, args...))
}

// writeWarnings adds a Warning header for each warning: code 299, of RFC 7234
// section 5.5.7, which browsers and caches pass on and do not act upon.
func (q *eventsQuery) writeWarnings(header http.Header) {
	for _, text := range q.warnings {
		header.Add("Warning", "299 realtime "+strconv.QuoteToASCII(strings.ReplaceAll(text, `"`, "'")))
	}
}

// bound is a bound of a query: a position or a time, or neither.
type bound struct {
	position *messaging.Position
	at       *time.Time
}

// parseBound reads a position or an RFC 3339 time. A time has a colon too, but never
// only digits after its first one.
func parseBound(name, text string) (bound, error) {
	if text == "" {
		return bound{}, nil
	}
	if position, err := messaging.ParsePosition(text); err == nil {
		return bound{position: &position}, nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return bound{at: &at}, nil
	}
	return bound{}, fmt.Errorf("%s is %.64q: want a sequence or an RFC 3339 time, or EPOCH:SEQUENCE", name, text)
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
	return (q.sinceTime == nil || emitted.After(*q.sinceTime)) && (q.beforeTime == nil || emitted.Before(*q.beforeTime))
}

// byTime reports whether the query has a bound on the time.
func (q eventsQuery) byTime() bool { return q.sinceTime != nil || q.beforeTime != nil }
