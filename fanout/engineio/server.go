package engineio

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"github.com/olahol/melody"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/fanout/internal/drain"
	"github.com/letswriteabook/realtime/internal/contain"
)

// Server is an http.Handler that speaks Engine.IO 4 on [Config.Path].
type Server struct {
	cfg     Config
	began   time.Time // ticks of the heartbeat count from then, see nextPing
	accept  func(*Session) Receiver
	logger  *slog.Logger
	metrics *metrics
	guard   *contain.Guard
	melody  *melody.Melody
	bodies  bodies
	workers workers
	writers writers

	mu       sync.Mutex // guards sessions and closing
	sessions map[string]*Session
	closing  bool

	// running counts sessions, connections and the goroutines that end them. It is only
	// increased under mu while closing is false, or by something that it counts already.
	running sync.WaitGroup
}

// NewServer returns a server that calls accept for each new session; what it
// returns receives the session's messages. It starts nothing. A nil registerer
// leaves the metrics unregistered.
//
// The error is an [ErrConfig], or says which metric could not be registered.
func NewServer(cfg Config, accept func(*Session) Receiver, logger *slog.Logger, registerer prometheus.Registerer) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	metrics, err := newMetrics(registerer)
	if err != nil {
		return nil, fmt.Errorf("engineio: %w", err)
	}
	s := &Server{
		cfg:      cfg,
		began:    time.Now(),
		accept:   accept,
		logger:   logger,
		metrics:  metrics,
		guard:    contain.New(metrics.panics, logger),
		sessions: make(map[string]*Session),
		bodies:   newBodies(cfg.MaxPayloadBytes),
	}
	if registerer != nil {
		queued := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "realtime_engineio_queued_bytes",
			Help: "Bytes that wait in the outgoing queues of all sessions.",
		}, func() float64 { return float64(s.queuedBytes()) })
		if err := registerer.Register(queued); err != nil {
			return nil, fmt.Errorf("engineio: %w", err)
		}
	}
	s.workers.guard = s.guard
	s.writers.init()
	s.melody = s.newMelody()
	return s, nil
}

// never is a period longer than any process runs. melody's own pings are disabled with it,
// because the heartbeat replaces them; conn ignores melody's deadlines.
const never = time.Duration(math.MaxInt64 / 4)

func (s *Server) newMelody() *melody.Melody {
	m := melody.New()
	*m.Config = melody.Config{PingPeriod: never} // the rest is for melody's loops, which find the connection ended
	m.Upgrader = &websocket.Upgrader{
		ReadBufferSize:    readBufferBytes,
		WriteBufferSize:   writeBufferBytes,
		WriteBufferPool:   &writeBuffers,
		EnableCompression: s.cfg.Compression,                        // negotiates only, see offersDeflate and frameScanner
		CheckOrigin:       func(*http.Request) bool { return true }, // AllowRequest has decided
	}
	m.HandleConnect(func(ms *melody.Session) { socketOf(ms).serve(ms) })
	m.HandleError(func(ms *melody.Session, err error) { socketOf(ms).failed(err) })
	return m
}

// socketOf returns the transport by way of the connection, which needs neither a lock nor
// melody's map of keys.
func socketOf(ms *melody.Session) *webSocket {
	return ms.WebsocketConnection().NetConn().(*conn).owner
}

// newSession returns a session that is not started.
func (s *Server) newSession(r *http.Request) *Session {
	return &Session{
		id:     NewID(),
		opened: time.Now(),
		turn:   newTurn(),
		kept:   keepRequest(r, s.cfg.KeepHeaders),
		server: s,
		pace:   s.newPace(r),
	}
}

// endUnstarted ends the intake of a session that was never started, so that its owner's
// usage counts for the next one. It does nothing for a session that was started.
func (s *Session) endUnstarted() {
	s.mu.Lock()
	started := s.transport != nil
	s.mu.Unlock()
	if !started {
		s.pace.end()
	}
}

// start registers the session, sends the open packet and hands the session to its owner. It
// returns false, and does nothing, if the server is closing.
func (s *Session) start(first transport, upgrades []string) (started bool) {
	open := s.server.openPacket(s.id, upgrades)
	s.call(func() { // the first callback: the end of the session waits for it
		s.mu.Lock()
		if started = s.server.remember(s); !started {
			s.mu.Unlock()
			return
		}
		s.transport = first
		s.pulse.due = s.nextPing(time.Now())
		s.timer = s.after(time.Until(s.pulse.due), s.beat)
		s.enqueue(open)
		s.transport.flush()
		s.mu.Unlock()
		receiver := s.server.accept(s)
		s.mu.Lock()
		s.receiver = receiver
		s.mu.Unlock()
	})
	return started
}

func (s *Server) openPacket(id string, upgrades []string) Frame {
	data, _ := json.Marshal(struct { // strings and numbers always marshal
		SID          string   `json:"sid"`
		Upgrades     []string `json:"upgrades"`
		PingInterval int64    `json:"pingInterval"`
		PingTimeout  int64    `json:"pingTimeout"`
		MaxPayload   int64    `json:"maxPayload"`
	}{id, upgrades, s.cfg.PingInterval.Milliseconds(), s.cfg.PingTimeout.Milliseconds(), s.cfg.MaxPayloadBytes})
	return Frame{Data: append([]byte{byte(PacketOpen)}, data...)}
}

// enter counts a connection, unless the server is closing.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.running.Add(1)
	return true
}

func (s *Server) remember(session *Session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.running.Add(1)
	s.sessions[session.id] = session
	s.metrics.opened.Inc()
	return true
}

func (s *Server) forget(session *Session, reason string) {
	s.mu.Lock()
	delete(s.sessions, session.id)
	s.mu.Unlock()
	s.metrics.closed(reason)
}

func (s *Server) find(id string) *Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions[id]
}

// queuedBytes returns the bytes that wait for all clients. It locks one session at a time,
// and the server only while it copies the list.
func (s *Server) queuedBytes() (total int) {
	s.mu.Lock()
	open := slices.Collect(maps.Values(s.sessions))
	s.mu.Unlock()
	for _, session := range open {
		total += session.QueuedBytes()
	}
	return total
}

// Len returns the number of sessions.
func (s *Server) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sessions)
}

// Shutdown refuses new sessions, closes the open ones with [ReasonShutdown], in random
// order and spread over [Config.DrainPeriod], and returns after every callback has
// returned. If ctx ends first, the remaining connections are cut, and Shutdown returns the
// context's error, possibly while callbacks still run.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.closing = true
	left := make([]*Session, 0, len(s.sessions))
	for _, session := range s.sessions {
		left = append(left, session)
	}
	s.mu.Unlock()
	defer s.workers.close()
	defer s.writers.close()
	drain.Each(ctx, left, s.cfg.DrainPeriod, func(session *Session) { session.Close(ReasonShutdown) })
	ended := make(chan struct{})
	go func() { // ends with the last session
		s.running.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
	}
	for _, session := range left {
		go func() { // ends with the session's last callback
			defer s.guard.Recover("session", nil)
			session.abort(ReasonShutdown, frameClose)
		}()
	}
	return fmt.Errorf("engineio: close %d sessions: %w", len(left), ctx.Err())
}

// NewID returns an id that cannot be guessed: 15 random bytes in URL-safe base64.
func NewID() string {
	var random [15]byte
	_, _ = rand.Read(random[:]) // never fails: it ends the process instead
	return base64.RawURLEncoding.EncodeToString(random[:])
}
