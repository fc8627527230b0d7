package app

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/letswriteabook/realtime/fanout"
)

// serveGateway adds what clients ask for.
func (a *App) serveGateway(gateway *fanout.Gateway, sockets http.Handler) {
	clients := a.health.admitUnlessDraining
	a.mux.Handle("/ws", clients(sockets))
	a.mux.Handle("/ws/", clients(sockets))
	a.mux.Handle("GET /api/realtime/jobs/{jobId}/stream", clients(http.HandlerFunc(gateway.ServeStream)))
	a.mux.HandleFunc("GET /api/novel/{jobId}/events", gateway.ServeEvents)
	a.mux.HandleFunc("GET /internal/realtime/metrics", gateway.ServeSnapshot)
}

// serveOperations adds what operators and load balancers ask for.
func (a *App) serveOperations() {
	a.mux.Handle("GET /metrics", promhttp.HandlerFor(a.registry, promhttp.HandlerOpts{}))
	a.mux.HandleFunc("GET /health", a.health.serveReady)
	a.mux.HandleFunc("GET /health/ready", a.health.serveReady)
	a.mux.HandleFunc("GET /health/live", a.health.serveLive)
}

// The bounds of one HTTP request's headers. Answers have no bound here: an event
// stream lasts, and sets its own deadlines.
const (
	readHeaderTimeout = 10 * time.Second
	keepAliveTimeout  = 2 * time.Minute
	maxHeaderBytes    = 32 << 10
)

// startHTTP serves the listener. Its step ends the event streams, whose requests
// would otherwise last, and waits for the requests under way.
func (a *App) startHTTP() {
	requests, endRequests := context.WithCancel(context.Background())
	server := &http.Server{
		Handler: a.mux, ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: keepAliveTimeout, MaxHeaderBytes: maxHeaderBytes,
		BaseContext: func(net.Listener) context.Context { return requests },
	}
	a.parts.run("http", func(ctx context.Context) error {
		stopped := make(chan error, 1)
		go func() { // ends when the step does
			<-ctx.Done()
			endRequests()
			stopped <- server.Shutdown(context.Background()) // bounded by the step's deadline
		}()
		if err := server.Serve(a.listener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return <-stopped
	})
}
