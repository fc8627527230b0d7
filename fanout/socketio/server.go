package socketio

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/fanout/engineio"
)

// Server is an http.Handler that speaks Socket.IO 5 on [Config.Path].
type Server struct {
	cfg       Config
	handler   Handler
	logger    *slog.Logger
	metrics   *metrics
	transport *engineio.Server
}

// NewServer returns a server that passes its sockets to handler. It starts nothing. With a
// nil registerer the metrics are not registered.
//
// The error is an [ErrConfig], or says which metric could not be registered.
func NewServer(cfg Config, handler Handler, logger *slog.Logger, registerer prometheus.Registerer) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	metrics, err := newMetrics(registerer)
	if err != nil {
		return nil, fmt.Errorf("socketio: %w", err)
	}
	s := &Server{cfg: cfg, handler: handler, logger: logger, metrics: metrics}
	if s.transport, err = engineio.NewServer(cfg.transport(), s.accept, logger, registerer); err != nil {
		return nil, err
	}
	return s, nil
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.transport.ServeHTTP(w, r) }

// Shutdown refuses new sockets and closes the open ones so that clients reconnect, in
// random order and spread over [Config.DrainPeriod]. It returns after every callback has
// returned. If ctx ends first, the remaining connections are cut, and Shutdown returns the
// context's error, possibly while callbacks still run.
func (s *Server) Shutdown(ctx context.Context) error { return s.transport.Shutdown(ctx) }

// metrics are counters only: the number of sockets is joined − left.
type metrics struct {
	joined    prometheus.Counter
	left      prometheus.Counter
	refused   prometheus.Counter
	events    prometheus.Counter
	malformed prometheus.Counter
	late      prometheus.Counter
}

func newMetrics(registerer prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "realtime_socketio_" + name, Help: help})
	}
	m := &metrics{
		joined:    counter("sockets_connected_total", "Sockets that joined a namespace."),
		left:      counter("sockets_disconnected_total", "Sockets that left a namespace."),
		refused:   counter("sockets_refused_total", "CONNECT packets that were refused."),
		events:    counter("events_received_total", "Events of clients handed to the handler."),
		malformed: counter("malformed_packets_total", "Packets that closed their connection."),
		late:      counter("connect_timeouts_total", "Connections closed because they joined no namespace in time."),
	}
	if registerer == nil {
		return m, nil
	}
	return m, errors.Join(
		registerer.Register(m.joined), registerer.Register(m.left), registerer.Register(m.refused),
		registerer.Register(m.events), registerer.Register(m.malformed), registerer.Register(m.late),
	)
}
