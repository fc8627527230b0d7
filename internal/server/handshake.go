package server

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// handshakes counts the connections on which no request came in time. The server
// closes those by itself and tells nobody. Its methods may be called concurrently.
type handshakes struct {
	timeout time.Duration
	late    prometheus.Counter

	mu   sync.Mutex // guards open
	open map[net.Conn]*handshake
}

// handshake is a connection; served is set once a request has come.
type handshake struct {
	began  time.Time
	served atomic.Bool
}

type handshakeKey struct{}

func newHandshakes(timeout time.Duration, registerer prometheus.Registerer) (*handshakes, error) {
	h := &handshakes{
		timeout: timeout, open: make(map[net.Conn]*handshake),
		late: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "realtime_app_handshake_timeouts_total",
			Help: "Connections that were closed because the headers of their first request did not come in time.",
		}),
	}
	return h, registerer.Register(h.late)
}

// begin is for http.Server.ConnContext.
func (h *handshakes) begin(ctx context.Context, conn net.Conn) context.Context {
	began := &handshake{began: time.Now()}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.open[conn] = began
	return context.WithValue(ctx, handshakeKey{}, began)
}

// note is for http.Server.ConnState.
func (h *handshakes) note(conn net.Conn, state http.ConnState) {
	if state != http.StateClosed && state != http.StateHijacked {
		return
	}
	h.mu.Lock()
	known := h.open[conn]
	delete(h.open, conn)
	h.mu.Unlock()
	// A client that goes by itself before that is no news.
	if known != nil && !known.served.Load() && time.Since(known.began) >= h.timeout {
		h.late.Inc()
	}
}

// served notes that a connection has brought a request.
func (h *handshakes) served(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if known, found := r.Context().Value(handshakeKey{}).(*handshake); found {
			known.served.Store(true)
		}
		next.ServeHTTP(w, r)
	})
}
