package gateway_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/guardrails"
	"github.com/letswriteabook/realtime/messaging"
)

// listing is the answer of the REST API.
type listing struct {
	Count      int            `json:"count"`
	Incomplete bool           `json:"incomplete"`
	Epoch      string         `json:"epoch"`
	Position   string         `json:"position"`
	Gap        *messaging.Gap `json:"gap"`
	Items      []struct {
		Kind      string          `json:"kind"`
		JobID     string          `json:"jobId"`
		EmittedAt string          `json:"emittedAt"`
		Event     json.RawMessage `json:"event"`
		Status    string          `json:"status"`
		Sequence  uint64          `json:"sequence"`
	} `json:"items"`
}

func (s *stage) events(jobID, query string) listing {
	s.t.Helper()
	answer := s.get("/api/novel/"+url.PathEscape(jobID)+"/events?"+query, "")
	var got listing
	if err := json.Unmarshal([]byte(answer.body), &got); err != nil || answer.status != http.StatusOK {
		s.t.Fatalf("answer %d, %v: %s", answer.status, err, answer.body)
	}
	if got.Items == nil || got.Count != len(got.Items) {
		s.t.Fatalf("count %d of %s", got.Count, answer.body)
	}
	return got
}

func (l listing) sequences() []uint64 {
	var all []uint64
	for _, item := range l.Items {
		all = append(all, item.Sequence)
	}
	return all
}

// back returns the sequences from first down to last.
func back(first, last uint64) []uint64 {
	all := span(last, first)
	slices.Reverse(all)
	return all
}

// TestPagesWithoutMongo: a page that MongoDB alone could complete says so, and no other.
func TestPagesWithoutMongo(t *testing.T) {
	t.Parallel()
	for _, without := range []bool{false, true} {
		s := setup(t, options{withoutDB: without})
		s.log.publish("job", 300)
		s.log.set(func(l *memoryLog) {
			l.retain(200)
			l.legacy["older"] = []messaging.Record{record("older", 0)}
		})
		page := func(jobID, query string, incomplete bool, want ...uint64) {
			t.Helper()
			got := s.events(jobID, query)
			if !slices.Equal(got.sequences(), want) || got.Incomplete != incomplete {
				t.Errorf("without %t, %s %s: %v, incomplete %t; want %v, %t", without, jobID, query, got.sequences(), got.Incomplete, want, incomplete)
			}
		}
		if !without {
			page("job", "limit=150", false, back(300, 151)...)
			page("older", "", false, 0)
			page("nobody", "", false)
			s.log.set(func(l *memoryLog) { l.mongoDown = true })
		}
		page("job", "limit=150", !without, back(300, 200)...)
		page("job", "limit=101", false, back(300, 200)...)
		page("job", "limit=9&before=203", !without, 202, 201, 200)
		page("job", "limit=3&since=10", !without, 200, 201, 202)
		page("job", "limit=3&since=199", false, 200, 201, 202)
		page("job", "since=300", false)
		page("older", "", !without)
		page("nobody", "", !without)
	}
}

func TestEventsOverREST(t *testing.T) {
	t.Parallel()
	at := func(sequence uint64) string { return url.QueryEscape(emittedAt(sequence)) }
	for _, without := range []bool{false, true} {
		s := setup(t, options{withoutDB: without, catchUp: 30})
		s.log.publish("job", 600)
		for _, test := range []struct {
			query string
			want  []uint64
		}{
			{"", back(600, 571)},
			{"limit=3", []uint64{600, 599, 598}},
			{"limit=1000", back(600, 1)},
			{"before=10", back(9, 1)},
			{"limit=2&before=10", []uint64{9, 8}},
			{"before=1", nil},
			{"before=1000&limit=1", []uint64{600}},
			{"since=0&limit=3", []uint64{1, 2, 3}},
			{"since=598", []uint64{599, 600}},
			{"since=600", nil},
			{"since=9999", span(571, 600)}, // of an earlier life, and so a gap
			{"limit=2&before=" + at(10), []uint64{9, 8}},
			{"limit=2&before=" + at(9000), []uint64{600, 599}},
			{"before=" + at(1), nil},
			{"limit=5&since=" + at(598), []uint64{600, 599}},
			{"since=" + at(600), nil},
			{"since=" + at(3) + "&before=" + at(7), []uint64{6, 5, 4}},
			{"since=" + at(3) + "&before=6", []uint64{5, 4}},
		} {
			t.Run(fmt.Sprintf("without=%t %s", without, test.query), func(t *testing.T) {
				t.Parallel()
				got := s.in(t).events("job", test.query)
				sameSequences(t, got.sequences(), test.want)
				for _, item := range got.Items {
					if item.Kind != "domain" || item.JobID != "job" || item.EmittedAt != emittedAt(item.Sequence) || len(item.Event) == 0 {
						t.Errorf("item %+v", item)
					}
				}
			})
		}
	}
}

func TestPollingPageByPage(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	s.log.publish("job", 20)
	s.log.set(func(l *memoryLog) { l.lags = true })
	s.log.publish("job", 25)
	var got []uint64
	for {
		page := s.events("job", fmt.Sprintf("limit=7&since=%d", lastOf(got)))
		if page.Count == 0 {
			break
		}
		if len(got)+7 <= 45 && page.Count != 7 {
			t.Errorf("a page of %d", page.Count)
		}
		got = append(got, page.sequences()...)
	}
	sameSequences(t, got, span(1, 45))
}

func TestOldDocumentsOverREST(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	s.log.publish("job", 3)
	var old []string
	s.log.set(func(l *memoryLog) {
		for n := range 400 {
			at := fmt.Sprintf("2020-01-01T00:%02d:%02d.000Z", n/60, n%60)
			old = append(old, at)
			l.legacy["job"] = append(l.legacy["job"], legacyStatus("job", at))
		}
	})
	for _, test := range []struct {
		query string
		new   int
		old   []string // newest first
	}{
		{"limit=5", 3, []string{old[399], old[398]}},
		{"limit=2&before=" + old[10], 0, []string{old[9], old[8]}},
		{"limit=9&before=2", 1, slices.Collect(func(yield func(string) bool) {
			for n := 399; n > 391 && yield(old[n]); n-- {
			}
		})},
		{"since=" + old[397], 3, []string{old[399], old[398]}},
	} {
		got := s.events("job", test.query)
		if got.Count != test.new+len(test.old) {
			t.Fatalf("%s: %d items", test.query, got.Count)
		}
		for i, at := range test.old {
			if item := got.Items[test.new+i]; item.EmittedAt != at || item.Sequence != 0 || item.Kind != "job-status" || item.Status != "running" {
				t.Errorf("%s: item %d is %+v, want that of %s", test.query, test.new+i, item, at)
			}
		}
	}
}

// TestRESTLeavesOutWhatCannotBeShown: such a record does not fill a page either.
func TestRESTLeavesOutWhatCannotBeShown(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	s.log.publish("job", 2)
	for range 30 {
		r := record("job", 0)
		r.Kind = "forgotten"
		s.log.append(r)
	}
	s.log.publish("job", 2)
	sameSequences(t, s.events("job", "limit=10").sequences(), []uint64{34, 33, 2, 1})
	sameSequences(t, s.events("job", "limit=3&since=1").sequences(), []uint64{2, 33, 34})
}

func TestRESTWhileStoresAreAway(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	s.log.publish("job", 20)
	s.log.set(func(l *memoryLog) { l.mongoDown = true })
	sameSequences(t, s.events("job", "limit=2").sequences(), []uint64{20, 19})
	s.log.set(func(l *memoryLog) { l.mongoDown, l.down = false, true })
	answer := s.get("/api/novel/job/events", "")
	if answer.status != http.StatusServiceUnavailable || answer.problem(t).Code != messaging.CodeInternal || strings.Contains(answer.body, errDown.Error()) {
		t.Errorf("answer %d %s", answer.status, answer.body)
	}
	s.log.set(func(l *memoryLog) { l.down = false })
	sameSequences(t, s.events("job", "limit=2").sequences(), []uint64{20, 19})
	sameSequences(t, s.events("nobody", "").sequences(), nil)
}

func TestBadQueries(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	for query, want := range map[string]string{
		"before=yesterday":                   "want a sequence or an RFC 3339 time",
		"since=-1":                           "want a sequence or an RFC 3339 time",
		"since=2026-01-02":                   "want a sequence or an RFC 3339 time",
		"since=3&before=9":                   "cannot be combined",
		"before=1%0a2":                       "want a sequence or an RFC 3339 time",
		"since=" + strings.Repeat("9", 4000): "want a sequence or an RFC 3339 time",
	} {
		answer := s.get("/api/novel/job/events?"+query, "")
		if answer.status != http.StatusBadRequest || !strings.Contains(answer.problem(t).Message, want) || len(answer.body) > 500 {
			t.Errorf("%.40s: %d %s", query, answer.status, answer.body)
		}
	}
	for job, code := range map[string]messaging.Code{
		strings.Repeat("j", 257): messaging.CodeJobIDInvalid,
		"a%00b":                  messaging.CodeJobIDInvalid,
		"a%0Ab":                  messaging.CodeJobIDInvalid,
		"%FF":                    messaging.CodeJobIDInvalid,
	} {
		for _, path := range []string{"/api/novel/" + job + "/events", "/api/realtime/jobs/" + job + "/stream"} {
			if answer := s.get(path, ""); answer.status != http.StatusBadRequest || answer.problem(t).Code != code {
				t.Errorf("%.40s: %d %s", path, answer.status, answer.body)
			}
		}
	}
	if answer := s.get("/api/realtime/jobs/job/stream?since=soon", ""); answer.status != http.StatusBadRequest || answer.problem(t).Code != messaging.CodeSinceInvalid {
		t.Errorf("stream: %d %s", answer.status, answer.body)
	}
	if got := s.snapshot(); got.TotalConnections != 0 {
		t.Errorf("snapshot %+v", got)
	}
}

func TestCrossOrigin(t *testing.T) {
	t.Parallel()
	s := setup(t, options{origins: "http://book.example", limits: guardrails.Limits{}})
	s.log.publish("job", 1)
	for _, test := range []struct {
		origin string
		status int
		allow  string
	}{
		{"", http.StatusOK, ""},
		{"http://book.example", http.StatusOK, "http://book.example"},
		{"http://evil.example", http.StatusForbidden, ""},
		{"null", http.StatusForbidden, ""},
	} {
		answer := s.get("/api/novel/job/events", test.origin)
		if answer.status != test.status || answer.header.Get("Access-Control-Allow-Origin") != test.allow || answer.header.Get("Vary") != "Origin" {
			t.Errorf("origin %q: %d, %v", test.origin, answer.status, answer.header)
		}
		if test.status == http.StatusForbidden {
			if code := answer.problem(t).Code; code != messaging.CodeOriginNotAllowed {
				t.Errorf("origin %q: code %s", test.origin, code)
			}
			if answer := s.get("/api/realtime/jobs/job/stream", test.origin); answer.status != http.StatusForbidden {
				t.Errorf("origin %q: stream %d %s", test.origin, answer.status, answer.body)
			}
		}
	}
}
