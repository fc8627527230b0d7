package client_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/letswriteabook/realtime/internal/client"
)

// TestFollowSendsTheToken: a gateway that requires tokens accepts the stream with a token, and
// refuses it without one.
func TestFollowSendsTheToken(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			http.Error(w, "a token is needed", http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, "event: e\nid: 1\ndata: {}\n\n")
	}))
	t.Cleanup(server.Close)
	seen := errors.New("seen")
	if err := client.Follow(t.Context(), server.URL, "job", "", "secret", func(client.Event) error { return seen }); !errors.Is(err, seen) {
		t.Errorf("with the token: %v", err)
	}
	if err := client.Follow(t.Context(), server.URL, "job", "", "", func(client.Event) error { return seen }); !errors.Is(err, client.ErrRefused) {
		t.Errorf("without one: %v", err)
	}
}

// TestFollowAsksForAnyJobBelowAPath: Follow works below the path of a proxy and with any
// jobId, and after a break it resumes after the last event, when the gateway says.
func TestFollowAsksForAnyJobBelowAPath(t *testing.T) {
	t.Parallel()
	for _, jobID := range []string{".", "..", "team-1/x", "%2e", "a b?c#d&e"} {
		var positions []string
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/rt/api/realtime/stream" || r.URL.Query().Get("jobId") != jobID {
				t.Errorf("%q is asked for as %s", jobID, r.URL)
			}
			positions = append(positions, r.Header.Get("Last-Event-ID"))
			fmt.Fprintf(w, "retry: 1\n\nevent: e\nid: epoch:%d\ndata: {}\n\n", len(positions))
		}))
		t.Cleanup(server.Close)
		seen, events := errors.New("seen"), 0
		err := client.Follow(t.Context(), server.URL+"/rt/", jobID, "", "", func(client.Event) error {
			if events++; events == 2 {
				return seen
			}
			return nil
		})
		if !errors.Is(err, seen) || !slices.Equal(positions, []string{"", "epoch:1"}) {
			t.Errorf("%q: %v, asked for after %q", jobID, err, positions)
		}
	}
}

// TestFollowRetriesATransientRefusal: Follow continues after the statuses with which a
// gateway or its proxy answers during a restart. Any other status ends it, and so does any
// failure of the first request.
func TestFollowRetriesATransientRefusal(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		statuses []int // of the requests; those after them get an event
		events   int
		refused  bool
	}{
		{[]int{200, 503, 502, 504, 429}, 2, false},
		{[]int{200, 401}, 1, true},
		{[]int{503}, 0, false},
	} {
		requests, events := 0, 0
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			requests++ // one after the other
			if requests <= len(test.statuses) && test.statuses[requests-1] != http.StatusOK {
				w.Header().Set("Retry-After", "0")
				w.WriteHeader(test.statuses[requests-1])
				return
			}
			fmt.Fprintf(w, "retry: 1\n\nevent: e\nid: epoch:%d\ndata: {}\n\n", requests)
		}))
		t.Cleanup(server.Close)
		seen := errors.New("seen")
		err := client.Follow(t.Context(), server.URL, "job", "", "", func(client.Event) error {
			if events++; events == 2 {
				return seen
			}
			return nil
		})
		if events != test.events || errors.Is(err, client.ErrRefused) != test.refused || errors.Is(err, seen) != (events == 2) || err == nil {
			t.Errorf("%v: %d events, %v", test.statuses, events, err)
		}
	}
}

// TestFollowResumesAfterABreak: Follow resumes when the connection breaks in the middle of
// an answer, also that of the first one, as when a gateway is killed.
func TestFollowResumesAfterABreak(t *testing.T) {
	t.Parallel()
	requests := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests++
		fmt.Fprintf(w, "retry: 1\n\nevent: e\nid: epoch:%d\ndata: {}\n\n", requests)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(server.Close)
	seen := errors.New("seen")
	var got []string
	err := client.Follow(t.Context(), server.URL, "job", "", "", func(event client.Event) error {
		if got = append(got, event.ID); len(got) == 3 {
			return seen
		}
		return nil
	})
	if !errors.Is(err, seen) || !slices.Equal(got, []string{"epoch:1", "epoch:2", "epoch:3"}) {
		t.Errorf("%v after %q", err, got)
	}
}
