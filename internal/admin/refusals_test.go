package admin_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/eventstore/revocations"
	"github.com/letswriteabook/realtime/internal/admin"
	"github.com/letswriteabook/realtime/internal/testkit/logkit"
)

// refusal is the answer to what is refused.
type refusal struct {
	Code, Message string
	Outcome       any
}

// TestMalformedQueriesAreRefused: a query that cannot be read selects nothing, so it is
// refused and not answered without its filters.
func TestMalformedQueriesAreRefused(t *testing.T) {
	t.Parallel()
	mux := serve(t, logkit.Open(t, logkit.Conn(t)), admin.Deps{})
	for query, want := range map[string]string{
		"jobId=a&after=2;":      "the query cannot be read",
		"jobId=100%":            "the query cannot be read",
		"jobId=a&jobId=b":       "the parameter jobId is given 2 times",
		"jobId=a&subject=b":     `"subject" is not a parameter of this route, which takes jobId, after, before, limit`,
		"jobId=a&limit=several": `limit is "several"`,
	} {
		var refused refusal
		request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, admin.Prefix+"/job/events", nil)
		request.URL.RawQuery = query
		answered(t, mux, request, http.StatusBadRequest, &refused)
		if !strings.Contains(refused.Message, want) {
			t.Errorf("%s: %+v, want %q", query, refused, want)
		}
	}
}

// TestRefusedChanges: a refusal says what is wrong in the words of the request, and has no
// outcome, because nothing was done.
func TestRefusedChanges(t *testing.T) {
	t.Parallel()
	log := logkit.Open(t, logkit.Conn(t))
	revoked, err := revocations.Open(t.Context(), log, time.Hour, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	mux := serve(t, log, admin.Deps{Revocations: revoked})
	refuse(t, log, `{"kind":"none"}`)
	for _, c := range []struct {
		path, body string
		status     int
		want       string
	}{
		{"/letters/redrive", ``, http.StatusBadRequest, "the body is empty"},
		{"/letters/redrive", `{"sequences":[`, http.StatusBadRequest, "the body ends within a JSON value"},
		{"/letters/redrive", `[]`, http.StatusBadRequest, "the body is a JSON array"},
		{"/sockets/close", `{"reason":1}`, http.StatusBadRequest, "reason must not be a JSON number"},
		{"/sockets/close", `{"reason":"` + strings.Repeat("x", 65<<10) + `"}`, http.StatusRequestEntityTooLarge, "more than 65536 bytes"},
		{"/letters/redrive", `{"sequences":[99]}`, http.StatusNotFound, "none of these"},
		{"/letters/purge", `{"sequences":[99]}`, http.StatusNotFound, "none of these"},
		{"/revocations/lift", `{"kind":"subject","value":"never"}`, http.StatusNotFound, "no such revocation"},
	} {
		var refused refusal
		answered(t, mux, change(t, c.path, c.body), c.status, &refused)
		if !strings.Contains(refused.Message, c.want) || strings.Contains(refused.Message, "Go ") || refused.Outcome != nil {
			t.Errorf("%s %.40s: %+v, want %q", c.path, c.body, refused, c.want)
		}
	}
	var purged struct {
		Removed int
		Missing []uint64
	}
	answered(t, mux, change(t, "/letters/purge", `{"sequences":[1,99]}`), http.StatusOK, &purged)
	if purged.Removed != 1 || len(purged.Missing) != 1 || purged.Missing[0] != 99 {
		t.Errorf("purged %+v", purged)
	}
}
