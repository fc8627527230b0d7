package gateway

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/letswriteabook/realtime/fanout/hub"
	"github.com/letswriteabook/realtime/fanout/recorder"
	"github.com/letswriteabook/realtime/fanout/socketio"
	"github.com/letswriteabook/realtime/guardrails"
	"github.com/letswriteabook/realtime/messaging"
)

// Policy is what a gateway enforces and offers to each client.
type Policy struct {
	Limits  guardrails.Limits
	Origins guardrails.Origins
	// Proxies are the proxies whose headers are trusted to name a client's address.
	Proxies []netip.Prefix
	// CatchUpLimit is how many of the newest events a subscription without a position
	// begins with, 1 or more.
	CatchUpLimit int
	// SessionRefresh is the interval at which the session of a connected socket is saved
	// again, so that it does not expire. It has no effect without sessions.
	SessionRefresh time.Duration
	// RecoveryClients says which clients get sessions without requesting them.
	RecoveryClients RecoveryClients
	// Compression says which HTTP answers are compressed.
	Compression Compression
	// SessionBytes bounds the size in the store of the sessions of this gateway's clients,
	// including clients that have disconnected; 0 means no bound.
	SessionBytes int
	// Recorder keeps what happened to clients; nil keeps nothing.
	Recorder *recorder.Recorder
	// Revoked reports whether the token of a grant has been revoked. It must not block. If
	// it is nil, no token is revoked.
	Revoked func(guardrails.Grant) bool
	// Busy reports whether the processors are busy, so that clients that send many requests
	// are slowed down. If it is nil, nobody is.
	Busy func() bool
}

// Gateway speaks the contract with clients: over Socket.IO as a
// [socketio.Handler], over SSE and REST as HTTP handlers. It enforces the decisions of
// package guardrails.
type Gateway struct {
	hub       *hub.Hub
	catalogue *messaging.Catalogue
	policy    Policy
	limits    atomic.Pointer[guardrails.Limits]  // those of policy until SetLimits
	origins   atomic.Pointer[guardrails.Origins] // those of policy until SetOrigins
	sessions  Sessions                           // nil without connection state recovery
	tokens    Tokens                             // nil if no client needs a token
	admission *guardrails.Admission
	quotas    *guardrails.Quotas
	intakes   *guardrails.Intakes
	requests  *guardrails.Requests // over REST
	logger    *slog.Logger
	refused   *prometheus.CounterVec
	closed    *prometheus.CounterVec
	evicted   prometheus.Counter
	delivered *prometheus.CounterVec
	recovered prometheus.Counter
	throttled *prometheus.CounterVec
	// churn decides which clients are slowed down, and slowed counts the requests that wait.
	churn       *guardrails.Churn
	slowed      atomic.Int64
	slowedTotal prometheus.Counter
	// cutAnswers counts the REST answers that a client did not read to the end.
	cutAnswers prometheus.Counter
	refusals   refusals
	// refusedOrigins are logged separately, with the setting that would admit them.
	refusedOrigins refusedOrigins
	// streams are the open event streams, and sockets the connected sockets.
	streams members[*openStream]
	sockets members[*client]
	// idleWatched counts the sockets that have an idle timer.
	idleWatched atomic.Int64

	// keeping decides which sessions are kept, and evictions has the sessions that are to be
	// removed from the store.
	keeping   *guardrails.Keeping
	evictions chan eviction
	forgotten prometheus.Counter

	mu      sync.Mutex          // guards the two below
	clients map[string]*client  // the clients with a session, by pid
	claims  map[string]struct{} // the pids of the sessions that are being recovered

	// registered is called after each registration, unless it is nil. Only tests set it.
	registered func(*client)
}

// New returns a gateway on a hub. If sessions is nil, sessions are not recovered; if tokens
// is nil, clients need no token.
func New(hub *hub.Hub, catalogue *messaging.Catalogue, policy Policy, sessions Sessions, tokens Tokens, logger *slog.Logger, registerer prometheus.Registerer) (*Gateway, error) {
	if err := policy.Limits.Validate(); err != nil {
		return nil, err
	}
	switch {
	case policy.CatchUpLimit < 1:
		return nil, fmt.Errorf("CatchUpLimit is %d: want 1 or more", policy.CatchUpLimit)
	case sessions != nil && policy.SessionRefresh < refreshSteps:
		return nil, fmt.Errorf("SessionRefresh is %s: want more than 0 with sessions", policy.SessionRefresh)
	case policy.SessionBytes < 0:
		return nil, fmt.Errorf("SessionBytes is %d: want 0 (no bound) or more", policy.SessionBytes)
	}
	factory := promauto.With(registerer)
	g := &Gateway{
		hub: hub, catalogue: catalogue, policy: policy, sessions: sessions, tokens: tokens, logger: logger,
		clients:   make(map[string]*client),
		claims:    make(map[string]struct{}),
		keeping:   guardrails.NewKeeping(policy.SessionBytes),
		evictions: make(chan eviction, evictionsWaiting),
		forgotten: factory.NewCounter(prometheus.CounterOpts{
			Name: "realtime_fanout_sessions_evicted_total",
			Help: "Sessions that cannot be recovered, because those of the same clients or of others took the room.",
		}),
		admission: guardrails.NewAdmission(policy.Limits),
		quotas:    guardrails.NewQuotas(),
		intakes:   guardrails.NewIntakes(),
		requests:  guardrails.NewRequests(policy.Limits),
		refused: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "realtime_fanout_refused_total",
			Help: "Requests of clients that were refused, or in a dry run would have been, by error code.",
		}, []string{"code", "dry_run"}),
		closed: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "realtime_fanout_closed_total",
			Help: "Clients that were connected and that the gateway closed, by error code.",
		}, []string{"code"}),
		evicted: factory.NewCounter(prometheus.CounterOpts{
			Name: "realtime_fanout_evicted_total",
			Help: "Sockets that were closed because they were idle.",
		}),
		delivered: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "realtime_fanout_delivered_total",
			Help: "Events handed to a client's outgoing queue, by transport.",
		}, []string{"transport"}),
		recovered: factory.NewCounter(prometheus.CounterOpts{
			Name: "realtime_fanout_recovered_total",
			Help: "Sockets that got an earlier session back.",
		}),
		throttled: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "realtime_fanout_throttled_total",
			Help: "Reads from connections that waited because the client had sent more than it may, or in a dry run would have.",
		}, []string{"dry_run"}),
		churn: guardrails.NewChurn(policy.Busy),
		slowedTotal: factory.NewCounter(prometheus.CounterOpts{
			Name: "realtime_fanout_slowed_requests_total",
			Help: "Requests that waited because their clients sent many while the processors were busy.",
		}),
		cutAnswers: factory.NewCounter(prometheus.CounterOpts{
			Name: "realtime_fanout_answers_cut_total",
			Help: "Pages of events over REST that were cut off because the client had gone or did not take them.",
		}),
	}
	g.limits.Store(&policy.Limits)
	g.origins.Store(&policy.Origins)
	for _, dryRun := range []bool{false, true} { // because no alert fires on a missing series
		g.throttled.WithLabelValues(strconv.FormatBool(dryRun))
		for _, code := range messaging.Codes() {
			g.refused.WithLabelValues(string(code), strconv.FormatBool(dryRun))
		}
	}
	for _, transport := range []string{"socketio", "sse"} {
		g.delivered.WithLabelValues(transport)
	}
	for _, code := range []messaging.Code{messaging.CodeIdleTimeout, messaging.CodeTokenExpired, messaging.CodeTokenInvalid} {
		g.closed.WithLabelValues(string(code))
	}
	factory.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "realtime_fanout_stream_queued_bytes",
		Help: "Bytes that wait in the outgoing queues of all event streams.",
	}, func() float64 { return float64(g.streamedBytes()) })
	factory.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "realtime_fanout_connections",
		Help: "Clients that are connected, over any transport.",
	}, func() float64 {
		total, _ := g.admission.Counts()
		return float64(total)
	})
	return g, nil
}

// SetOrigins replaces the origins that may connect. Clients that are connected stay connected.
func (g *Gateway) SetOrigins(origins guardrails.Origins) { g.origins.Store(&origins) }

// SetLimits replaces the limits except MaxMessageBytes and DryRun, which the transport also
// has. Connected clients stay connected even if they exceed the new limits, and keep the
// rates of the time when they connected. The idle timeout applies to all sockets; if there
// was none before, it begins now.
func (g *Gateway) SetLimits(limits guardrails.Limits) error {
	before := g.limits.Load()
	limits.MaxMessageBytes, limits.DryRun = before.MaxMessageBytes, before.DryRun
	if err := limits.Validate(); err != nil {
		return err
	}
	g.limits.Store(&limits)
	g.admission.SetLimits(limits)
	g.requests.SetLimits(limits)
	for _, c := range g.sockets.list() {
		c.mu.Lock()
		c.watchIdle()
		c.mu.Unlock()
	}
	return nil
}

// AllowOrigin reports whether an origin may connect, for the transport.
func (g *Gateway) AllowOrigin(origin, host string) bool {
	return g.origins.Load().Decide(origin, host).Allowed()
}

// admit decides whether a new client of any transport may connect. If the client recovers the
// session of earlier, which may be nil, and is admitted, it takes over the slot of earlier.
func (g *Gateway) admit(r *http.Request, grant guardrails.Grant, earlier *client) (*guardrails.Slot, guardrails.Decision) {
	origin := r.Header.Get("Origin")
	decision := g.origins.Load().Decide(origin, r.Host)
	var slot *guardrails.Slot
	if decision.Allowed() {
		visitor := guardrails.Visitor{Origin: origin, Address: g.address(r), Subject: grant.Subject}
		var replaced *guardrails.Slot
		if earlier != nil {
			replaced = earlier.slot
		}
		slot, decision = g.admission.Replace(replaced, visitor, time.Now(), rand.Float64())
	}
	g.count(decision, origin)
	return slot, decision
}

// address returns the network address of the client, which trusted proxies may name.
func (g *Gateway) address(r *http.Request) netip.Addr {
	remote, _ := netip.ParseAddrPort(r.RemoteAddr) // a UNIX socket has no address
	return guardrails.ClientAddress(remote.Addr(), r.Header.Values("X-Forwarded-For"), r.Header.Values("Forwarded"), g.policy.Proxies)
}

// count counts and logs a refusal, or a decision that would have been a refusal outside of a
// dry run. It ignores any other decision.
func (g *Gateway) count(decision guardrails.Decision, origin string) {
	if decision.Code == "" {
		return
	}
	g.refused.WithLabelValues(string(decision.Code), strconv.FormatBool(decision.DryRun)).Inc()
	if decision.Code == messaging.CodeOriginNotAllowed {
		g.logRefusedOrigin(origin)
		return
	}
	if silent, say := g.refusals.note(decision.Code, time.Now()); say {
		g.logger.Info("client refused", "origin", origin, "code", decision.Code,
			"current", decision.Current, "limit", decision.Limit, "dryRun", decision.DryRun, "silent", silent)
	}
}

// Connect admits a socket, or refuses it with the contract's text and code. A socket that
// names a session recovers that session.
func (g *Gateway) Connect(socket *socketio.Socket, auth json.RawMessage) *socketio.Refusal {
	request := socket.Request()
	origin := request.Header.Get("Origin")
	decision := g.origins.Load().Decide(origin, request.Host)
	var grant guardrails.Grant
	if decision.Allowed() {
		grant, decision = g.socketGrant(socket, auth)
	}
	if !decision.Allowed() {
		g.count(decision, origin)
		return refusal(decision)
	}
	var wanted recall
	offsets, recovered := g.wantsRecovery(socket, auth), false
	if offsets {
		var release func()
		wanted, recovered, release = g.recall(auth, origin, grant.Subject, socket.Opened())
		defer release()
	}
	// This is the last check: the session stays with its present socket unless the new
	// socket is admitted.
	slot, decision := g.admit(request, grant, wanted.holder)
	if !decision.Allowed() {
		return refusal(decision)
	}
	c := newClient(g, socket, slot, grant)
	c.sink.offsets, c.sink.traces = offsets, wantsTraces(socket, auth)
	c.address = g.address(request)
	g.join(c, wanted, recovered)
	c.closeIfRevoked() // after the client was added to sockets, so that no concurrent revocation misses it
	return nil
}

// join makes a client of an admitted socket. If it panics, the socket ends without a
// Disconnect, and join itself frees what the client holds.
func (g *Gateway) join(c *client, wanted recall, recovered bool) {
	joined := false
	defer func() {
		if !joined {
			c.release()
			c.retire(false)
		}
	}()
	c.socket.SetData(c)
	if wanted.holder != nil {
		wanted, recovered = g.takeOver(wanted)
	}
	c.identify(wanted, recovered)
	c.begin()
	c.mu.Lock()
	defer c.mu.Unlock()
	if recovered {
		g.recovered.Inc()
		c.restore(wanted)
	}
	c.watchExpiry()
	c.save()
	if !c.gone {
		g.sockets.add(c)
	}
	c.watchIdle() // after the client was added to sockets, so that SetLimits does not miss its timer
	g.register(c) // last, with the mutex held, so that other goroutines wait until the client is complete
	joined = true
}

// refusal returns the content of the CONNECT_ERROR for a decision: the problem's message, and
// its other fields as data.
func refusal(decision guardrails.Decision) *socketio.Refusal {
	problem := decision.Problem()
	return &socketio.Refusal{Message: problem.Message, Data: refusalData(problem)}
}

// refusalData returns the data of a CONNECT_ERROR: the fields of a problem without its
// message.
func refusalData(problem messaging.Problem) any {
	return struct {
		Code         messaging.Code `json:"code"`
		Limit        *int           `json:"limit,omitempty"`
		Current      *int           `json:"current,omitempty"`
		RetryAfterMs *int           `json:"retryAfterMs,omitempty"`
	}{problem.Code, problem.Limit, problem.Current, problem.RetryAfterMs}
}

// Event handles one event of a socket. It ignores an event that is not in the contract, but
// acknowledges it if the client requests that: a client that sends with retries would
// otherwise hold back all later events.
func (g *Gateway) Event(socket *socketio.Socket, name string, args []json.RawMessage, ack socketio.Ack) {
	g.take(socket, name, args, sizeOf(name, args), ack)
}

// BinaryEvent is Event for an event with attachments. No event of the contract has
// attachments: they count towards the size of the event, and are dropped.
func (g *Gateway) BinaryEvent(socket *socketio.Socket, name string, args []json.RawMessage, attachments socketio.Attachments, ack socketio.Ack) {
	size := sizeOf(name, args)
	for _, attachment := range attachments {
		size += len(attachment)
	}
	g.take(socket, name, args, size, ack)
}

// take handles one event of the given size.
func (g *Gateway) take(socket *socketio.Socket, name string, args []json.RawMessage, size int, ack socketio.Ack) {
	c, ok := socket.Data().(*client)
	if !ok {
		return
	}
	decision := g.limits.Load().Message(size)
	if decision.Allowed() && size > maxRequestBytes && requests[name] {
		decision = guardrails.Decision{Code: messaging.CodeMessageTooLarge, Limit: maxRequestBytes, Current: size}
	}
	if decision.Allowed() {
		g.count(decision, c.slot.Origin()) // in a dry run
		decision = c.spend(name)
	}
	if !decision.Allowed() {
		c.refuse(decision.Problem(), ack)
		return
	}
	g.count(decision, c.slot.Origin()) // in a dry run
	switch name {
	case messaging.EventSubscribe:
		c.subscribe(args, ack)
	case messaging.EventUnsubscribe:
		c.unsubscribe(args, ack)
	case messaging.EventPing:
		c.touch()
		c.sink.trail.Note(messaging.EventPing, "", "")
		c.emit(messaging.EventPong, messaging.Pong{Timestamp: time.Now().UnixMilli()})
		acknowledge(ack, struct {
			OK bool `json:"ok"`
		}{true})
	case messaging.EventRefresh:
		c.refresh(args, ack)
		c.closeIfRevoked() // the new token may have been revoked meanwhile
	default:
		acknowledge(ack, failure{Problem: messaging.NewProblem(messaging.CodeUnknownEvent)})
	}
}

// failure is the acknowledgement of a request that was not carried out.
type failure struct {
	OK bool `json:"ok"` // always false
	messaging.Problem
}

// acknowledge sends an acknowledgement, if the client requested one. It ignores the error:
// the socket is closing.
func acknowledge(ack socketio.Ack, answer any) {
	if ack != nil {
		_ = ack(answer)
	}
}

// maxRequestBytes bounds a message that the gateway handles, and the memory that decoding it
// takes. The largest useful message has a token.
const maxRequestBytes = 16 << 10

// requests are the messages that the gateway handles.
var requests = map[string]bool{
	messaging.EventSubscribe: true, messaging.EventUnsubscribe: true, messaging.EventPing: true, messaging.EventRefresh: true,
}

// sizeOf returns the size of a message, as guardrails count it.
func sizeOf(name string, args []json.RawMessage) int {
	size := len(name)
	for _, arg := range args {
		size += len(arg)
	}
	return size
}

// Oversized refuses an event that was not read because of its size.
func (g *Gateway) Oversized(socket *socketio.Socket, sizeBytes int, ack socketio.Ack) {
	c, ok := socket.Data().(*client)
	if !ok {
		return
	}
	if decision := g.limits.Load().Message(sizeBytes); !decision.Allowed() {
		c.refuse(decision.Problem(), ack)
	}
}

// RefuseOversized refuses a CONNECT that was not read because of its size.
func (g *Gateway) RefuseOversized(sizeBytes int) *socketio.Refusal {
	decision := guardrails.Decision{Code: messaging.CodeMessageTooLarge, Limit: g.limits.Load().MaxMessageBytes, Current: sizeBytes}
	g.count(decision, "")
	return refusal(decision)
}

// connectionQuota is the quota of a connection, which its sockets share, with the owner of
// the quota.
type connectionQuota struct {
	quota *guardrails.Quota
	owner string
}

// quotaOf returns the quota of a socket's connection. A socket that leaves its
// namespace and joins again keeps its quota.
func (g *Gateway) quotaOf(socket *socketio.Socket, slot *guardrails.Slot) *guardrails.Quota {
	shared, ok := socket.Shared().(*connectionQuota)
	if !ok {
		shared = &connectionQuota{quota: g.quotas.Take(slot.Owner(), *g.limits.Load(), time.Now()), owner: slot.Owner()}
		socket.SetShared(shared)
	}
	return shared.quota
}

// ConnectionClosed keeps the quota of a connection for the next one of its owner.
func (g *Gateway) ConnectionClosed(shared any) {
	if left, ok := shared.(*connectionQuota); ok {
		g.quotas.Return(left.owner, left.quota, time.Now())
	}
}

// spend charges a message to the client's quotas.
func (c *client) spend(name string) guardrails.Decision {
	now, jitter := time.Now(), rand.Float64()
	if name == messaging.EventSubscribe || name == messaging.EventUnsubscribe {
		return c.quota.Change(now, jitter)
	}
	return c.quota.Message(now, jitter)
}

// Disconnect frees what a socket held.
func (g *Gateway) Disconnect(socket *socketio.Socket, reason string) {
	c, ok := socket.Data().(*client)
	if !ok {
		return
	}
	c.finish(reason)
	c.release()
	c.retire(reason == socketio.ReasonClientDisconnect || reason == socketio.ReasonServerDisconnect)
	if reason == socketio.ReasonClientDisconnect { // otherwise its connection counts
		g.noteChurn(guardrails.CountedAddress(c.address).String(), c.joinedAt)
	}
	g.logger.Debug("client gone", "session", socket.ID(), "origin", c.slot.Origin(), "reason", reason)
}
