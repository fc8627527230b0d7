package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"
)

// The pages have the keys that programs of the replaced system read, and strangers learn
// from them which part is failing, and no more.
func TestHealthPages(t *testing.T) {
	t.Parallel()
	well := func(context.Context) error { return nil }
	away := func(context.Context) error {
		return errors.New("dial tcp 10.0.0.7:27017: lookup db.internal on 10.0.0.1:53: no such host")
	}
	tests := []struct {
		name         string
		checks       []check
		draining     bool
		code         int
		status       string
		state        string
		parts        map[string]string // for strangers
		dependencies map[string]string
	}{
		{
			name: "nothing configured", code: 200, status: "pass", state: "ready", parts: map[string]string{},
			dependencies: map[string]string{"mongo": "unknown", "redis": "unknown"},
		},
		{
			name: "all well", checks: []check{{"log", true, well}, {"mongodb", false, well}, {"redis", true, well}}, code: 200, status: "pass", state: "ready",
			parts:        map[string]string{"log": "ok", "mongodb": "ok", "redis": "ok"},
			dependencies: map[string]string{"mongo": "healthy", "redis": "healthy"},
		},
		{
			name: "MongoDB away", checks: []check{{"mongodb", false, away}, {"redis", true, well}}, code: 200, status: "pass", state: "degraded",
			parts:        map[string]string{"mongodb": "failing", "redis": "ok"},
			dependencies: map[string]string{"mongo": "unhealthy", "redis": "healthy"},
		},
		{
			name: "Redis away", checks: []check{{"log", true, well}, {"redis", true, away}}, code: 503, status: "fail", state: "not-ready",
			parts:        map[string]string{"log": "ok", "redis": "failing"},
			dependencies: map[string]string{"mongo": "unknown", "redis": "unhealthy"},
		},
		{
			name: "stopping", checks: []check{{"redis", true, well}}, draining: true, code: 503, status: "fail", state: "stopping",
			parts:        map[string]string{"redis": "ok"},
			dependencies: map[string]string{"mongo": "unknown", "redis": "healthy"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := &health{began: time.Now().Add(-90 * time.Second), checks: test.checks}
			h.draining.Store(test.draining)
			page, code := readHealth(t, h.serveReady(func(*http.Request) bool { return false }))
			if code != test.code || page.Status != test.status || page.State != test.state {
				t.Errorf("answered %d, %q, %q", code, page.Status, page.State)
			}
			if !reflect.DeepEqual(page.Parts, test.parts) || !reflect.DeepEqual(page.Dependencies, test.dependencies) {
				t.Errorf("parts %v, dependencies %v", page.Parts, page.Dependencies)
			}
			if at, err := time.Parse(time.RFC3339, page.Timestamp); err != nil || time.Since(at) > time.Minute || page.UptimeSeconds < 90 {
				t.Errorf("timestamp %q, uptime %d s", page.Timestamp, page.UptimeSeconds)
			}
			operators, _ := readHealth(t, h.serveReady(func(*http.Request) bool { return true }))
			for part, text := range page.Parts {
				if text != "ok" && !strings.Contains(operators.Parts[part], "db.internal") {
					t.Errorf("operators are told %q of %s", operators.Parts[part], part)
				}
			}
			if live, code := readHealth(t, h.serveLive); code != 200 || live.Status != "pass" || live.State != "alive" || live.UptimeSeconds < 90 {
				t.Errorf("live answers %d %+v", code, live)
			}
		})
	}
}

func readHealth(t *testing.T, page http.HandlerFunc) (report, int) {
	t.Helper()
	answer := httptest.NewRecorder()
	page(answer, httptest.NewRequest(http.MethodGet, "/health", nil))
	var body report
	if err := json.Unmarshal(answer.Body.Bytes(), &body); err != nil {
		t.Fatalf("%s: %v", answer.Body, err)
	}
	return body, answer.Code
}

// TestPublishingWhileDraining: producers can read the refusal as they read the others,
// and send the event again.
func TestPublishingWhileDraining(t *testing.T) {
	t.Parallel()
	var h health
	h.draining.Store(true)
	answer := httptest.NewRecorder()
	h.admitUnlessDraining(http.NotFoundHandler()).ServeHTTP(answer, httptest.NewRequest(http.MethodPost, "/api/realtime/events", nil))
	var problem struct{ Code, Message string }
	if err := json.Unmarshal(answer.Body.Bytes(), &problem); err != nil || problem.Code != "unavailable" || problem.Message == "" {
		t.Errorf("body %s: %v", answer.Body, err)
	}
	kind, retry := answer.Header().Get("Content-Type"), answer.Header().Get("Retry-After")
	if answer.Code != http.StatusServiceUnavailable || !strings.HasPrefix(kind, "application/json") || retry == "" {
		t.Errorf("status %d, Content-Type %q, Retry-After %q", answer.Code, kind, retry)
	}
}
