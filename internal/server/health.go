package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// checkTimeout bounds the question to one part.
const checkTimeout = 2 * time.Second

// health answers what load balancers and people ask: is the process alive, is it
// ready for clients, and which part is not well.
type health struct {
	// draining is set once the application has begun to stop.
	draining atomic.Bool
	began    time.Time
	checks   []check
}

// check asks one part how it is. Without a required part the gateway is not
// ready; without another it is degraded, and goes on.
type check struct {
	part     string
	required bool
	ask      func(ctx context.Context) error
}

// vitals are what every health page has, as programs of the replaced system read it.
type vitals struct {
	// Status is "pass" with HTTP 200, and "fail" otherwise.
	Status        string `json:"status"`
	Timestamp     string `json:"timestamp"`
	UptimeSeconds int64  `json:"uptimeSeconds"`
}

// report is the body of /health and /health/ready.
type report struct {
	vitals
	// State is "ready", "degraded", "not-ready" or "stopping".
	State string `json:"state"`
	// Parts maps each part to "ok" or to what is wrong with it; for strangers that is
	// "failing".
	Parts map[string]string `json:"parts"`
	// Dependencies has "mongo" and "redis", each "healthy", "unhealthy" or, where this
	// process does not use it, "unknown".
	Dependencies map[string]string `json:"dependencies"`
}

// life is the body of /health/live.
type life struct {
	vitals
	// State is "alive".
	State string `json:"state"`
}

// dependencies are the names of parts among the dependencies.
var dependencies = map[string]string{"mongodb": "mongo", "redis": "redis"}

func (h *health) vitals(status string) vitals {
	now := time.Now()
	return vitals{
		Status: status, Timestamp: now.UTC().Format("2006-01-02T15:04:05.000Z"),
		UptimeSeconds: int64(now.Sub(h.began).Seconds()),
	}
}

// examine asks every part. Its errors have addresses in them, which are for operators
// alone.
func (h *health) examine(ctx context.Context, operator bool) (report, int) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	failures := make([]error, len(h.checks))
	var wg sync.WaitGroup
	for i, check := range h.checks {
		wg.Go(func() { failures[i] = check.ask(ctx) })
	}
	wg.Wait()
	result, code := report{State: "ready", Parts: make(map[string]string), Dependencies: make(map[string]string)}, http.StatusOK
	for _, name := range dependencies {
		result.Dependencies[name] = "unknown"
	}
	for i, check := range h.checks {
		text, condition := "ok", "healthy"
		if failures[i] != nil {
			text, condition = "failing", "unhealthy"
			if operator {
				text = failures[i].Error()
			}
			switch {
			case check.required && !errors.As(failures[i], new(degradation)):
				result.State, code = "not-ready", http.StatusServiceUnavailable
			case code == http.StatusOK:
				result.State = "degraded"
			}
		}
		result.Parts[check.part] = text
		if name, found := dependencies[check.part]; found {
			result.Dependencies[name] = condition
		}
	}
	if h.draining.Load() {
		result.State, code = "stopping", http.StatusServiceUnavailable
	}
	status := "pass"
	if code != http.StatusOK {
		status = "fail"
	}
	result.vitals = h.vitals(status)
	return result, code
}

// serveReady answers with the report, for operators with what is wrong in full.
func (h *health) serveReady(operator func(*http.Request) bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, code := h.examine(r.Context(), operator(r))
		writeJSON(w, code, body)
	}
}

// serveLive answers for as long as the process can.
func (h *health) serveLive(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, life{vitals: h.vitals("pass"), State: "alive"})
}

func writeJSON(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body)
}

// admitUnlessDraining refuses the events of producers while the gateway is stopping, in
// the form and with the code of package ingest.
func (h *health) admitUnlessDraining(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h.draining.Load() {
			w.Header().Set("Retry-After", "1")
			writeJSON(w, http.StatusServiceUnavailable, struct {
				Code    string `json:"code"`
				Message string `json:"message"`
			}{"unavailable", "the gateway is stopping, nothing is stored: send it again"})
			return
		}
		next.ServeHTTP(w, r)
	})
}
