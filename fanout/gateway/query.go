package gateway

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

	"github.com/letswriteabook/realtime/fanout/hub"
	"github.com/letswriteabook/realtime/messaging"
)

// eventsQuery is the query of a REST client.
type eventsQuery struct {
	hub.Query
	warnings []warning
}

// warning says which part of a request is not valid, and what is done instead.
type warning struct{ what, instead string }

func parseEventsQuery(values url.Values, defaultLimit int) (eventsQuery, error) {
	query := eventsQuery{Query: hub.Query{Limit: min(defaultLimit, hub.MaxPage)}}
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
	query.SinceTime, query.Before, query.BeforeTime = since.at, before.position, before.at
	if since.position != nil {
		query.Resumes, query.Since = true, *since.position
	}
	return query, nil
}

// readLimit parses the limit as the API has always done: a number out of range is replaced
// by the nearest valid one, and other text is ignored.
func (q *eventsQuery) readLimit(text string) {
	if text == "" {
		return
	}
	limit, err := strconv.Atoi(text) // out of its range, the nearest in it
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		q.warn(fmt.Sprintf("limit is %.32q: not a whole number", text), fmt.Sprintf("%d is used", q.Limit))
		return
	}
	q.Limit = min(max(limit, 1), hub.MaxPage)
	if q.Limit != limit {
		q.warn(fmt.Sprintf("limit is %.32q: not from 1 to %d", text, hub.MaxPage), fmt.Sprintf("%d is used", q.Limit))
	}
}

// maxWarnings bounds the warnings about one request.
const maxWarnings = 5

// warnUnknown adds a warning for each ignored parameter.
func (q *eventsQuery) warnUnknown(values url.Values) {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !slices.Contains([]string{"limit", "before", "since", "jobId"}, name) && len(q.warnings) < maxWarnings {
			q.warn(fmt.Sprintf("parameter %.32q is unknown", name), "it is ignored")
		}
	}
}

func (q *eventsQuery) warn(what, instead string) {
	q.warnings = append(q.warnings, warning{what, instead})
}

// writeWarnings adds a Warning header for each warning, with code 299 (RFC 7234, section
// 5.5.7), which browsers and caches pass on without acting on it.
func (q *eventsQuery) writeWarnings(header http.Header) {
	for _, warning := range q.warnings {
		text := warning.what + ", " + warning.instead
		header.Add("Warning", "299 realtime "+strconv.QuoteToASCII(strings.ReplaceAll(text, `"`, "'")))
	}
}

// bound is a bound of a query: a position, a time, or neither.
type bound struct {
	position *messaging.Position
	at       *time.Time
}

// parseBound parses a position or an RFC 3339 time. A time has a colon too, but never only
// digits after its first colon.
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
