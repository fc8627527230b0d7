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
	// SessionRefresh is how often the session of a connected socket is saved
	// again, so that it does not expire. It is used with sessions only.
	SessionRefresh time.Duration
}

// Gateway speaks the contract with clients: over Socket.IO as a
// [socketio.Handler], over SSE and REST as HTTP handlers. It decides nothing
// itself; guardrails do, and the gateway enforces.
type Gateway struct {
	hub       *Hub
	policy    Policy
	sessions  Sessions // nil without connection state recovery
	admission *guardrails.Admission
	logger    *slog.Logger
	refused   *prometheus.CounterVec
	evicted   prometheus.Counter
	recovered prometheus.Counter
	// idleWatched counts the sockets with an idle deadline running.
	idleWatched atomic.Int64

	mu      sync.Mutex         // guards clients
	clients map[string]*client // by pid; those with a session
}

// NewGateway returns a gateway on a hub. Without sessions, which may be nil, no
// client's session is recovered.
func NewGateway(hub *Hub, policy Policy, sessions Sessions, logger *slog.Logger, registerer prometheus.Registerer) (*Gateway, error) {
	if err := policy.Limits.Validate(); err != nil {
		return nil, err
	}
	g := &Gateway{
		hub: hub, policy: policy, sessions: sessions, logger: logger,
		clients:   make(map[string]*client),
		admission: guardrails.NewAdmission(policy.Limits),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "realtime_fanout_refused_total",
			Help: "Requests of clients that were refused, by error code.",
		}, []string{"code"}),
		evicted: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "realtime_fanout_evicted_total",
			Help: "Sockets that were closed because they were idle.",
		}),
		recovered: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "realtime_fanout_recovered_total",
			Help: "Sockets that got an earlier session back.",
		}),
	}
	registerer.MustRegister(g.refused, g.evicted, g.recovered, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "realtime_fanout_connections",
		Help: "Clients that are connected, over any transport.",
	}, func() float64 {
		total, _ := g.admission.Counts()
		return float64(total)
	}))
	return g, nil
}

// admit decides about a new client, whatever its transport.
func (g *Gateway) admit(origin string) (*guardrails.Slot, guardrails.Decision) {
	decision := g.policy.Origins.Decide(origin)
	var slot *guardrails.Slot
	if decision.Allowed() {
		slot, decision = g.admission.Admit(guardrails.Visitor{Origin: origin}, time.Now(), rand.Float64())
	}
	if !decision.Allowed() {
		g.refused.WithLabelValues(string(decision.Code)).Inc()
		g.logger.Info("client refused", "origin", origin, "code", decision.Code, "current", decision.Current, "limit", decision.Limit)
	}
	return slot, decision
}

// Connect admits a socket, or refuses it with the contract's text and code. One
// that names a session gets that back.
func (g *Gateway) Connect(socket *socketio.Socket, auth json.RawMessage) *socketio.Refusal {
	origin := socket.Request().Header.Get("Origin")
	wanted, recovered := g.recall(auth, origin)
	slot, decision := g.admit(origin)
	if !decision.Allowed() {
		problem := decision.Problem()
		return &socketio.Refusal{Message: problem.Message, Data: refusalData(problem)}
	}
	c := newClient(g, socket, slot)
	socket.SetData(c)
	c.identify(wanted, recovered)
	if recovered {
		g.recovered.Inc()
		c.restore(wanted)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.save()
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
	c.release()
	c.retire(reason == socketio.ReasonClientDisconnect || reason == socketio.ReasonServerDisconnect)
	g.logger.Debug("client gone", "session", socket.ID(), "origin", c.slot.Origin(), "reason", reason)
}
