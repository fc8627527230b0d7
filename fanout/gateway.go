package fanout

import (
	"encoding/json"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/fanout/socketio"
	"github.com/letswriteabook/realtime/guardrails"
	"github.com/letswriteabook/realtime/messaging"
)

// Policy is what a gateway enforces and offers to each client.
type Policy struct {
	Limits  guardrails.Limits
	Origins guardrails.Origins
	// CatchUpLimit is how many events a subscription without a position is
	// replayed.
	CatchUpLimit int
}

// Gateway speaks the contract with clients: over Socket.IO as a
// [socketio.Handler], over SSE and REST as HTTP handlers. It decides nothing
// itself; guardrails do, and the gateway enforces.
type Gateway struct {
	hub       *Hub
	policy    Policy
	admission *guardrails.Admission
	logger    *slog.Logger
	refused   *prometheus.CounterVec
	evicted   prometheus.Counter
	// idleWatched counts the sockets with an idle deadline running.
	idleWatched atomic.Int64
}

// NewGateway returns a gateway on a hub.
func NewGateway(hub *Hub, policy Policy, logger *slog.Logger, registerer prometheus.Registerer) (*Gateway, error) {
	if err := policy.Limits.Validate(); err != nil {
		return nil, err
	}
	g := &Gateway{
		hub: hub, policy: policy, logger: logger,
		admission: guardrails.NewAdmission(policy.Limits),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "realtime_fanout_refused_total",
			Help: "Requests of clients that were refused, by error code.",
		}, []string{"code"}),
		evicted: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "realtime_fanout_evicted_total",
			Help: "Sockets that were closed because they were idle.",
		}),
	}
	registerer.MustRegister(g.refused, g.evicted, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "realtime_fanout_connections",
		Help: "Clients that are connected, over any transport.",
	}, func() float64 {
		total, _ := g.admission.Counts()
		return float64(total)
	}))
	return g, nil
}

// client is one connected Socket.IO socket.
type client struct {
	gateway *Gateway
	socket  *socketio.Socket
	slot    *guardrails.Slot
	reader  *reader

	mu            sync.Mutex // guards everything below
	gone          bool
	lastActive    time.Time
	idle          *time.Timer // nil without an idle timeout
	subscriptions map[string]*subscription
}

// admit decides about a new client, whatever its transport.
func (g *Gateway) admit(origin string) (*guardrails.Slot, guardrails.Decision) {
	decision := g.policy.Origins.Decide(origin)
	var slot *guardrails.Slot
	if decision.Allowed() {
		slot, decision = g.admission.Admit(origin, rand.Float64())
	}
	if !decision.Allowed() {
		g.refused.WithLabelValues(string(decision.Code)).Inc()
		g.logger.Info("client refused", "origin", origin, "code", decision.Code, "current", decision.Current, "limit", decision.Limit)
	}
	return slot, decision
}

// Connect admits a socket, or refuses it with the contract's text and code.
func (g *Gateway) Connect(socket *socketio.Socket, _ json.RawMessage) *socketio.Refusal {
	slot, decision := g.admit(socket.Request().Header.Get("Origin"))
	if !decision.Allowed() {
		problem := decision.Problem()
		return &socketio.Refusal{Message: problem.Message, Data: refusalData(problem)}
	}
	c := &client{gateway: g, socket: socket, slot: slot, lastActive: time.Now(), subscriptions: make(map[string]*subscription)}
	c.reader = newReader(g.hub, &socketSink{socket: socket, delivered: g.hub.metrics.delivered.WithLabelValues("socketio")})
	c.watchIdle()
	socket.SetData(c)
	return nil
}

// refusalData is what stands in the data of a CONNECT_ERROR: the problem without
// its message, which stands beside it.
func refusalData(problem messaging.Problem) any {
	return struct {
		Code         messaging.Code `json:"code"`
		Limit        *int           `json:"limit,omitempty"`
		Current      *int           `json:"current,omitempty"`
		RetryAfterMs *int           `json:"retryAfterMs,omitempty"`
	}{problem.Code, problem.Limit, problem.Current, problem.RetryAfterMs}
}

// Event handles one event of a socket. Events outside the contract are ignored.
func (g *Gateway) Event(socket *socketio.Socket, name string, args []json.RawMessage, ack socketio.Ack) {
	c, ok := socket.Data().(*client)
	if !ok {
		return
	}
	switch name {
	case messaging.EventSubscribe:
		c.touch()
		c.subscribe(args, ack)
	case messaging.EventUnsubscribe:
		c.touch()
		c.unsubscribe(args, ack)
	case messaging.EventPing:
		c.touch()
		c.emit(messaging.EventPong, messaging.Pong{Timestamp: time.Now().UnixMilli()})
	}
}

// Disconnect frees everything that a socket held.
func (g *Gateway) Disconnect(socket *socketio.Socket, reason string) {
	c, ok := socket.Data().(*client)
	if !ok {
		return
	}
	c.mu.Lock()
	c.gone = true
	subscriptions := c.subscriptions
	c.subscriptions = nil
	if c.idle != nil {
		c.idle.Stop()
		g.idleWatched.Add(-1)
	}
	c.mu.Unlock()
	for _, sub := range subscriptions {
		g.hub.unsubscribe(sub)
	}
	c.slot.Release()
	g.logger.Debug("client gone", "session", socket.ID(), "origin", c.slot.Origin(), "reason", reason)
}

// emit sends a control event. A socket that cannot take it is closing.
func (c *client) emit(name string, payload any) { _ = c.socket.Emit(name, payload) }

// socketSink feeds a Socket.IO socket.
type socketSink struct {
	socket    *socketio.Socket
	delivered prometheus.Counter
}

func (s *socketSink) offer(ev *event) bool {
	if !s.socket.Offer(ev.packet) {
		return false
	}
	s.delivered.Inc()
	return true
}

func (s *socketSink) send(name string, payload any) { _ = s.socket.Emit(name, payload) }
func (s *socketSink) room() <-chan struct{}         { return s.socket.Room() }
func (s *socketSink) done() <-chan struct{}         { return s.socket.Done() }
