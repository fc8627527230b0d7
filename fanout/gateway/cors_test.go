package gateway_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/guardrails"
)

// TestCrossOriginReading asks on every path that browsers read what a page of an
// origin may do: all paths have the same answer.
func TestCrossOriginReading(t *testing.T) {
	t.Parallel()
	const simple = "Content-Type, Accept, Authorization, Last-Event-ID, X-Requested-With, X-Realtime-Recovery, traceparent, tracestate, baggage"
	s := setup(t, options{origins: "https://app.example,https://*.preview.example", limits: guardrails.Limits{}})
	everybody := setup(t, options{origins: "*,https://app.example", limits: guardrails.Limits{}})
	s.log.publish("job", 1)
	everybody.log.publish("job", 1)
	for _, test := range []struct {
		stage              *stage
		origin, allow      string
		credentials, reads bool
	}{
		{s, "https://app.example", "https://app.example", true, true},
		{s, "https://pr-12.preview.example", "https://pr-12.preview.example", true, true},
		{s, s.url, s.url, false, true}, // the gateway's own address
		{s, "https://evil.example", "", false, false},
		{s, "null", "", false, false},
		{everybody, "https://app.example", "https://app.example", true, true},
		{everybody, "https://evil.example", "*", false, true},
		{everybody, "null", "*", false, true},
	} {
		for path, methods := range map[string]string{
			"/ws?EIO=4&transport=polling":              "GET, POST",
			"/api/novel/job/events":                    "GET",
			"/api/realtime/jobs/job/stream?since=none": "GET", // refused once it may be read
		} {
			for _, method := range []string{http.MethodOptions, http.MethodGet} {
				request, err := http.NewRequestWithContext(t.Context(), method, test.stage.url+path, nil)
				if err != nil {
					t.Fatal(err)
				}
				request.Header.Set("Origin", test.origin)
				request.Header.Set("Access-Control-Request-Method", "GET")
				request.Header.Set("Access-Control-Request-Headers", "content-type, x-evil")
				answer, err := test.stage.client.Do(request)
				if err != nil {
					t.Fatal(err)
				}
				_ = answer.Body.Close()
				header, wanted := answer.Header, map[string]string{"Access-Control-Allow-Origin": test.allow}
				if test.credentials {
					wanted["Access-Control-Allow-Credentials"] = "true"
				}
				if test.reads {
					wanted["Access-Control-Expose-Headers"] = "Retry-After, Warning"
				}
				if method == http.MethodOptions {
					if answer.StatusCode != http.StatusNoContent {
						t.Errorf("preflight of %s from %s: status %d", path, test.origin, answer.StatusCode)
					}
					if test.reads {
						wanted["Access-Control-Allow-Methods"], wanted["Access-Control-Allow-Headers"] = methods, simple
					}
				}
				for _, name := range []string{"Allow-Origin", "Allow-Credentials", "Allow-Methods", "Allow-Headers", "Expose-Headers"} {
					name = "Access-Control-" + name
					if got := header.Get(name); got != wanted[name] {
						t.Errorf("%s %s from %s: %s is %q, want %q", method, path, test.origin, name, got, wanted[name])
					}
				}
				if !strings.Contains(strings.Join(header.Values("Vary"), ","), "Origin") {
					t.Errorf("%s %s from %s: a cache would mix the origins up", method, path, test.origin)
				}
			}
		}
	}
}

// TestRefusedOriginIsLoggedWithItsRemedy: a page in a browser is told nothing, so
// whoever runs the service finds the reason in its log.
func TestRefusedOriginIsLoggedWithItsRemedy(t *testing.T) {
	t.Parallel()
	s := setup(t, options{origins: "https://app.example", limits: guardrails.Limits{}})
	for range 3 {
		s.get("/api/novel/job/events", "https://other.example")
	}
	if lines := s.diary.count("origin refused", "https://other.example", "SOCKET_CLIENT_ORIGIN", "PUBLIC_URL"); lines != 1 {
		t.Errorf("%d lines for one origin that was refused three times", lines)
	}
}

// TestOriginIsLoggedWhereABrowserStops: a page cannot read the answer to its first
// request, be it a polling handshake or a preflight, and sends no other.
func TestOriginIsLoggedWhereABrowserStops(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, method, path, origin string
		logged                     bool
	}{
		{"a polling handshake", http.MethodGet, "/ws?EIO=4&transport=polling", "https://other.example", true},
		{"a preflight of the sockets", http.MethodOptions, "/ws?EIO=4&transport=polling", "https://other.example", true},
		{"a preflight of a page of events", http.MethodOptions, "/api/novel/job/events", "https://other.example", true},
		{"a listed origin", http.MethodGet, "/ws?EIO=4&transport=polling", "https://app.example", false},
		{"a later poll", http.MethodGet, "/ws?EIO=4&transport=polling&sid=x", "https://other.example", false},
		{"no origin", http.MethodOptions, "/api/novel/job/events", "", false},
	} {
		s := setup(t, options{origins: "https://app.example", limits: guardrails.Limits{}})
		const times = 3
		for range times {
			request, err := http.NewRequestWithContext(t.Context(), test.method, s.url+test.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			if test.origin != "" {
				request.Header.Set("Origin", test.origin)
			}
			response, err := s.client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
		}
		lines, counted := 0, 0.0
		if test.logged {
			lines, counted = 1, times
		}
		if got := s.diary.count("origin refused", "https://other.example", "SOCKET_CLIENT_ORIGIN"); got != lines {
			t.Errorf("%s: %d lines in the log, want %d", test.name, got, lines)
		}
		if got := s.metric("realtime_fanout_refused_total"); got != counted {
			t.Errorf("%s: counted %v times, want %v", test.name, got, counted)
		}
	}
}
