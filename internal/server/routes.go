package server

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/letswriteabook/realtime/fanout/gateway"
	"github.com/letswriteabook/realtime/internal/console"
	"github.com/letswriteabook/realtime/internal/contain"
)

// serveClients adds what clients ask for.
func (a *App) serveClients(gateway *gateway.Gateway, sockets http.Handler) {
	shared := gateway.ShareSockets(sockets) // which refuse new ones by themselves
	a.mux.Handle("/ws", shared)
	a.mux.Handle("/ws/", shared)
	read := func(path string, handler http.Handler) {
		served := gateway.Paced(gateway.Preflights("GET", handler))
		a.mux.Handle("GET "+path, served)
		a.mux.Handle("OPTIONS "+path, served)
	}
	for _, path := range []string{"/api/realtime/jobs/{jobId}/stream", "/api/realtime/stream"} {
		read(path, gateway.StreamsUntil(a.health.draining.Load))
	}
	for _, path := range []string{"/api/novel/{jobId}/events", "/api/novel/events"} {
		read(path, http.HandlerFunc(gateway.ServeEvents))
	}
}

// serveProducers adds the way to publish without Redis.
func (a *App) serveProducers() {
	publish := a.producers(http.HandlerFunc(a.ingest.ServePublish))
	a.mux.Handle("POST /api/realtime/events", a.health.admitUnlessDraining(publish))
}

// serveHealth adds what load balancers ask for. operator decides who is shown errors.
func (a *App) serveHealth(mux *http.ServeMux, operator func(*http.Request) bool) {
	mux.HandleFunc("GET /health", a.health.serveReady(operator))
	mux.HandleFunc("GET /health/ready", a.health.serveReady(operator))
	mux.HandleFunc("GET /health/live", a.health.serveLive)
}

// serveOperators adds the operators' pages, behind a guard. The gateway is nil
// without its role.
func (a *App) serveOperators(mux *http.ServeMux, gateway *gateway.Gateway, guard func(http.Handler) http.Handler) {
	mux.Handle("GET /metrics", guard(headless("text/plain; charset=utf-8", promhttp.HandlerFor(a.registry, promhttp.HandlerOpts{}))))
	if gateway != nil {
		mux.Handle("GET /internal/realtime/metrics", guard(headless("application/json; charset=utf-8", http.HandlerFunc(gateway.ServeSnapshot))))
	}
	a.api.Register(mux)
	console.Register(mux)
	serveProfiles(mux, guard)
}

// operators decides with the INTERNAL_TOKEN in force.
func (a *App) operators() operators {
	settings := a.settings()
	return operators{token: settings.InternalToken, local: settings.TrustsLocal()}
}

// operatorsOnly lets nobody but operators through.
func (a *App) operatorsOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { a.operators().only(next).ServeHTTP(w, r) })
}

// secured adds the headers that keep a browser from making more of an answer
// than it is.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("X-Frame-Options", "DENY")
		header.Set("Referrer-Policy", "no-referrer")
		next.ServeHTTP(w, r)
	})
}

// contained counts a request that panics, logs the first one, and closes its connection, or
// with HTTP/2 its stream. [http.ErrAbortHandler] does so, too, and is no defect. A connection
// that a handler has taken over stays that handler's to close.
func contained(guard *contain.Guard, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// net/http would log each one, with its stack, and count none.
		defer func() {
			cause := recover()
			if cause == nil {
				return
			}
			if cause != http.ErrAbortHandler {
				guard.Note("HTTP request", cause)
			}
			panic(http.ErrAbortHandler)
		}()
		next.ServeHTTP(w, r)
	})
}

// below serves every route below a path as well, for a gateway that shares its host
// with others behind a proxy that keeps the path. Without the path the routes stay
// where they are, for probes that do not go through the proxy.
func below(base string, next http.Handler) http.Handler {
	base = strings.TrimRight(base, "/")
	if base == "" {
		return next
	}
	stripped := http.StripPrefix(base, next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, base+"/") && (r.URL.RawPath == "" || strings.HasPrefix(r.URL.RawPath, base+"/")) {
			stripped.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// The bounds of one HTTP request, beside SOCKET_HANDSHAKE_TIMEOUT and HTTP_BODY_TIMEOUT.
const (
	keepAliveTimeout = 2 * time.Minute
	maxHeaderBytes   = 32 << 10
	// maxStreams bounds the requests under way on one connection of HTTP/2. A proxy opens
	// further connections; each one counts among those that the public port may have.
	maxStreams = 250
	// answerTimeout is how long an answer may take to be made and read. An operator's
	// profile takes half of it unless it is asked for otherwise.
	answerTimeout = time.Minute
)

// startHTTP serves a listener. Its step ends the event streams that are left, whose
// requests would otherwise last, waits for the requests under way, and closes the
// connections of those that are left when its share of the stop ends. h2c also takes
// HTTP/2 without TLS.
func (a *App) startHTTP(name string, listener net.Listener, handler *http.ServeMux, h2c bool) {
	requests, endRequests := context.WithCancel(context.Background())
	server := &http.Server{
		// Together with the headers. The server applies it also to a body that no handler
		// reads, for which it waits before it answers. It ends with the request's last
		// byte, and so bounds neither event streams nor waiting polls.
		ReadTimeout: a.cfg.HandshakeTimeout + a.cfg.BodyTimeout,
		// Event streams, polls and pages of history set deadlines of their own, which move
		// as the client reads.
		WriteTimeout: answerTimeout,
		Handler:      a.handshakes.served(contained(a.guard, secured(below(a.cfg.BasePath, a.connections.sparing(withRelativeRedirects(handler, withMethods(handler))))))), ReadHeaderTimeout: a.cfg.HandshakeTimeout, IdleTimeout: keepAliveTimeout, MaxHeaderBytes: maxHeaderBytes,
		BaseContext: func(net.Listener) context.Context { return requests },
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			return a.handshakes.begin(withConnection(ctx, conn), conn)
		},
		ConnState: a.handshakes.note,
		Protocols: new(http.Protocols), HTTP2: &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
	}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(h2c)
	a.parts.run(name, func(context.Context) error {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	a.parts.onStop(name+" requests", func(ctx context.Context) error {
		endRequests()
		err := a.cutOff("requests", server.Shutdown(ctx))
		return errors.Join(err, server.Close())
	}).weight = closingWeight
}
