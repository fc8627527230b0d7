package app

import (
	"context"
	"encoding/json"
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
	checks   []check
}

// check asks one part how it is. Without a required part the gateway is not
// ready; without another it is degraded, and goes on.
type check struct {
	part     string
	required bool
	ask      func(ctx context.Context) error
}

// report is the body of /health and /health/ready.
type report struct {
	// Status is "ready", "degraded", "not-ready" or "stopping".
	Status string `json:"status"`
	// Parts maps each part to "ok" or to what is wrong with it.
	Parts map[string]string `json:"parts"`
}

func (h *health) examine(ctx context.Context) (report, int) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	failures := make([]error, len(h.checks))
	var wg sync.WaitGroup
	for i, check := range h.checks {
		wg.Go(func() { failures[i] = check.ask(ctx) })
	}
	wg.Wait()
	result, code := report{Status: "ready", Parts: make(map[string]string)}, http.StatusOK
	for i, check := range h.checks {
		switch {
		case failures[i] == nil:
			result.Parts[check.part] = "ok"
			continue
		case check.required:
			result.Status, code = "not-ready", http.StatusServiceUnavailable
		case code == http.StatusOK:
			result.Status = "degraded"
		}
		result.Parts[check.part] = failures[i].Error()
	}
	if h.draining.Load() {
		result.Status, code = "stopping", http.StatusServiceUnavailable
	}
	return result, code
}

func (h *health) serveReady(w http.ResponseWriter, r *http.Request) {
	body, code := h.examine(r.Context())
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body)
}

// serveLive answers as long as the process does.
func (h *health) serveLive(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write([]byte(`{"status":"alive"}` + "\n"))
}

// admitUnlessDraining keeps new clients away from a gateway that is stopping.
func (h *health) admitUnlessDraining(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h.draining.Load() {
			w.Header().Set("Retry-After", "1")
			http.Error(w, "the gateway is stopping", http.StatusServiceUnavailable)
			return
		}
		next.ServeHTTP(w, r)
	})
}
