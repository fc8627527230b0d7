package gateway_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// TestLenientQueries: a limit that cannot be used and parameters that nobody knows are
// no reason to refuse a page; the answer says what was made of them.
func TestLenientQueries(t *testing.T) {
	t.Parallel()
	s := setup(t, options{catchUp: 30})
	s.log.publish("job", 1200)
	for _, test := range []struct {
		query, warning string
		count          int
	}{
		{query: "limit=7", count: 7},
		{query: "limit=0", count: 1, warning: `299 realtime "limit is '0': not from 1 to 1000, 1 is used"`},
		{query: "limit=-3", count: 1, warning: `299 realtime "limit is '-3': not from 1 to 1000, 1 is used"`},
		{query: "limit=1001", count: 1000, warning: `299 realtime "limit is '1001': not from 1 to 1000, 1000 is used"`},
		{query: "limit=99999999999999999999", count: 1000, warning: `299 realtime "limit is '99999999999999999999': not from 1 to 1000, 1000 is used"`},
		{query: "limit=abc", count: 30, warning: `299 realtime "limit is 'abc': not a whole number, 30 is used"`},
		{query: "limit=1.5", count: 30, warning: `299 realtime "limit is '1.5': not a whole number, 30 is used"`},
		{query: "order=desc", count: 30, warning: `299 realtime "parameter 'order' is unknown, it is ignored"`},
		{query: "l%0d%0aSet-Cookie:x=1", count: 30, warning: `299 realtime "parameter 'l\\r\\nSet-Cookie:x' is unknown, it is ignored"`},
		{query: strings.Repeat("x", 3000), count: 30, warning: fmt.Sprintf(`299 realtime "parameter '%s' is unknown, it is ignored"`, strings.Repeat("x", 32))},
	} {
		answer := s.get("/api/novel/job/events?"+test.query, "")
		if answer.status != http.StatusOK || answer.header.Get("Warning") != test.warning {
			t.Errorf("%.60s: %d, warning %s, want %s", test.query, answer.status, answer.header.Get("Warning"), test.warning)
		}
		if got := s.events("job", test.query).Count; got != test.count {
			t.Errorf("%.60s: %d items, want %d", test.query, got, test.count)
		}
	}
	// The other form of the path is this service's own.
	for _, query := range []string{"limit=0", "limit=1001", "limit=abc", "order=desc"} {
		if answer := s.get("/api/novel/events?jobId=job&"+query, ""); answer.status != http.StatusBadRequest || answer.problem(t).Code != "INVALID_QUERY" {
			t.Errorf("%s beside the jobId: %d %s", query, answer.status, answer.body)
		}
	}
	if answer := s.get("/api/novel/events?jobId=job&limit=7", ""); answer.status != http.StatusOK || answer.header.Get("Warning") != "" {
		t.Errorf("a limit beside the jobId: %d %s", answer.status, answer.body)
	}
	var many []string
	for i := range 100 {
		many = append(many, fmt.Sprintf("p%d=1", i))
	}
	if warnings := s.get("/api/novel/job/events?"+strings.Join(many, "&"), "").header.Values("Warning"); len(warnings) != 5 {
		t.Errorf("%d warnings about 100 parameters", len(warnings))
	}
}

// TestBoundsAtTheEnds: the smallest and the largest value of a bound are values like
// any other.
func TestBoundsAtTheEnds(t *testing.T) {
	t.Parallel()
	for _, without := range []bool{false, true} {
		s := setup(t, options{withoutDB: without})
		s.log.publish("job", 20)
		for query, want := range map[string][]uint64{
			"since=18446744073709551615":            span(1, 20), // with a gap: nobody was given that position
			"since=9223372036854775807":             span(1, 20),
			"before=0":                              nil,
			"before=1":                              nil,
			"before=18446744073709551615":           back(20, 1),
			"before=0001-01-01T00:00:00Z":           nil,
			"since=0001-01-01T00:00:00Z":            back(20, 1),
			"since=9999-12-31T23:59:59Z":            nil,
			"before=9999-12-31T23:59:59Z":           back(20, 1),
			"since=0&limit=2":                       {1, 2},
			"since=0001-01-01T00:00:00Z&before=0":   nil,
			"since=0001-01-01T00:00:00Z&before=3":   {2, 1},
			"before=0001-01-01T00:00:00Z&limit=700": nil,
		} {
			if got := s.events("job", query).sequences(); !slices.Equal(got, want) {
				t.Errorf("without=%t %s: %v, want %v", without, query, got, want)
			}
		}
	}
}
