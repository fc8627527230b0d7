package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/redis/go-redis/v9"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/eventstore/audit"
	"github.com/letswriteabook/realtime/eventstore/gateways"
	"github.com/letswriteabook/realtime/eventstore/revocations"
	"github.com/letswriteabook/realtime/eventstore/sessions"
	"github.com/letswriteabook/realtime/fanout/gateway"
	"github.com/letswriteabook/realtime/fanout/hub"
	"github.com/letswriteabook/realtime/fanout/recorder"
	"github.com/letswriteabook/realtime/fanout/socketio"
	"github.com/letswriteabook/realtime/guardrails"
	"github.com/letswriteabook/realtime/ingest"
	"github.com/letswriteabook/realtime/internal/admin"
	"github.com/letswriteabook/realtime/internal/backends"
	"github.com/letswriteabook/realtime/internal/buildinfo"
	"github.com/letswriteabook/realtime/internal/caller"
	"github.com/letswriteabook/realtime/internal/config"
	"github.com/letswriteabook/realtime/internal/contain"
	"github.com/letswriteabook/realtime/internal/machine"
	"github.com/letswriteabook/realtime/internal/tracing"
	"github.com/letswriteabook/realtime/messaging"
	"github.com/letswriteabook/realtime/operations/work"
	"github.com/letswriteabook/realtime/projections"
)

// App is the server, opened but not yet serving.
type App struct {
	cfg      config.Config
	logger   *slog.Logger
	parts    *lifecycle
	registry *prometheus.Registry
	health   *health
	canary   *canary
	redis    *redis.Options // nil without REDIS_URL or the role
	listener net.Listener
	admin    net.Listener // nil without ADMIN_ADDR

	certificates *certificates
	// acme obtains certificates; nil without ACME_HOSTS.
	acme    func(context.Context) error
	reloads reloads

	mux    *http.ServeMux
	guests []guest

	handshakes  *handshakes
	guard       *contain.Guard
	connections *connections
	drained     time.Time // when DRAIN_SECONDS end; zero before the stop

	catalogue *messaging.Catalogue
	nats      *backends.NATS
	log       *eventstore.Log
	models    *projections.Store // nil without MongoDB
	ingest    *ingest.Ingest     // nil without the role
	tail      *eventstore.Tail   // nil without the role fanout
	sockets   *socketio.Server   // nil without the role
	tokens    *tokens            // nil when nobody needs one
	processor machine.Processor
	api       *admin.API
	work      *work.Runner
	// name is the one name of this process: for other gateways and in every answer, note,
	// metric and span that says which gateway it is of.
	name      string
	questions atomic.Pointer[gateways.Responder] // nil until it runs

	revocations *revocations.Store // nil without tokens
	recorder    *recorder.Recorder // nil with FLIGHT_RECORDER_BYTES 0
	traces      *tracing.Tracer    // nil without traces
}

// Open takes the port, and opens the backends. NATS has to be there; Redis and
// MongoDB may come later. What was opened before an error is closed again.
func Open(ctx context.Context, cfg config.Config, logger *slog.Logger) (*App, error) {
	panics := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "realtime_app_panics_total", Help: "Panics of HTTP requests, and of loops beside the work on events. Anything but 0 is a defect.",
	})
	guard := contain.New(panics, logger)
	a := &App{
		cfg: cfg, name: cmp.Or(cfg.GatewayName, processName()), logger: logger, guard: guard, parts: newLifecycle(logger, guard),
		registry: prometheus.NewRegistry(), health: &health{began: time.Now()}, mux: http.NewServeMux(),
	}
	a.registry.MustRegister(panics, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), buildinfo.Read().Metric(), nameMetric(a.name))
	if err := a.open(ctx); err != nil {
		return nil, errors.Join(err, a.parts.stop(cfg.ShutdownTimeout, 0))
	}
	return a, nil
}

func (a *App) open(ctx context.Context) error {
	a.warn(&a.cfg)
	err := a.cfg.CheckMachine()
	if err != nil {
		return err
	}
	if err = a.openTraces(ctx); err != nil {
		return err
	}
	if a.listener, err = a.listenPublic(); err != nil {
		return err
	}
	if a.cfg.AdminAddr != "" {
		if a.admin, err = a.listen("operators' listener", "tcp", a.cfg.AdminAddr); err != nil {
			return fmt.Errorf("ADMIN_ADDR: %w", err)
		}
	}
	if a.recorder, err = recorder.New(recorder.Config{Bytes: a.cfg.RecorderBytes, Events: a.cfg.RecorderEvents}); err != nil {
		return err
	}
	if a.canary, err = newCanary(a.cfg.CanaryInterval, a.logger, a.registry); err != nil {
		return err
	}
	if a.certificates, err = newCertificates(a.registry); err != nil {
		return err
	}
	if a.handshakes, err = newHandshakes(a.cfg.HandshakeTimeout, a.registry); err != nil {
		return err
	}
	if a.connections, err = newConnections(a.logger, a.registry); err != nil {
		return err
	}
	catalogue, err := config.LoadCatalogue(a.cfg)
	if err != nil {
		return err
	}
	a.catalogue = new(messaging.Catalogue) // of its own, which a reload changes
	a.catalogue.Replace(catalogue)
	if a.tokens, err = a.openTokens(); err != nil {
		return err
	}
	if err = a.openLog(ctx); err != nil {
		return err
	}
	a.health.checks = append(a.health.checks, check{part: "log", required: true, ask: a.exercised("log", a.logHealthy)})
	if err = a.openRevocations(ctx); err != nil {
		return err
	}
	if err = a.openProjections(); err != nil {
		return err
	}
	a.vouch(ctx)
	if err = a.openIngest(); err != nil {
		return err
	}
	return a.openAPI()
}

func (a *App) openProjections() error {
	db, err := backends.MongoDB(a.cfg, a.logger)
	if err != nil || db == nil {
		return err
	}
	a.parts.onStop("mongodb connection", db.Client().Disconnect)
	if a.models, err = projections.New(db, projections.DefaultConfig(), a.logger, a.registry); err != nil {
		return err
	}
	if a.traces != nil || a.recorder != nil {
		a.models.Trace(observer{a.recorder, a.traces})
	}
	a.models.Honour(backends.Erasures{Audit: audit.Beside(a.log.Client())})
	a.health.checks = append(a.health.checks, check{part: "mongodb", ask: a.exercised("mongodb", func(ctx context.Context) error {
		return cmp.Or(a.models.Ping(ctx), a.models.Standing())
	})})
	return nil
}

func (a *App) openIngest() error {
	if !a.cfg.Has(config.RoleIngest) {
		return nil
	}
	a.knowIDs()
	opened, err := backends.OpenRedis(a.cfg, a.logger)
	if err != nil {
		return err
	}
	var client *redis.Client
	if opened != nil {
		client = opened.Client
		a.parts.onStop("redis connection", func(context.Context) error { return opened.Close() })
		a.parts.run("redis primary", opened.Run)
	}
	limits := ingest.DefaultConfig()
	limits.MaxEventBytes = a.cfg.MaxEvent
	limits.DedupWindow = a.log.Settings().DuplicateWindow
	limits.ReceiptSecret = a.cfg.ReceiptSecret
	// Room for a few events of the largest size, however large that is.
	limits.MaxPendingBytes = max(limits.MaxPendingBytes, 4*a.cfg.MaxEvent)
	limits.MaxBodyBytes = max(limits.MaxBodyBytes, a.cfg.MaxEvent)
	limits.MaxPublishBytes = max(limits.MaxPublishBytes, 4*limits.MaxBodyBytes)
	limits.DrainTimeout = a.cfg.ShutdownTimeout / 2
	limits.BodyTimeout = a.cfg.BodyTimeout
	if a.ingest, err = ingest.New(client, ingestLog{a.log, a.recorder}, a.catalogue, limits, a.logger, a.registry); err != nil {
		return err
	}
	if a.traces != nil || a.recorder != nil {
		a.ingest.Trace(observer{a.recorder, a.traces})
	}
	if client != nil {
		a.redis = client.Options()
		a.health.checks = append(a.health.checks, check{part: "dead-letters", ask: func(context.Context) error { return a.ingest.Letters() }})
		a.health.checks = append(a.health.checks, check{part: "redis", required: true, ask: a.exercised("redis", func(context.Context) error { return a.ingest.Connected() })})
	}
	return nil
}

// Addr returns the address that the server listens on.
func (a *App) Addr() net.Addr { return a.listener.Addr() }

// NATSURL returns where NATS clients reach the log; empty for an embedded one
// that does not listen.
func (a *App) NATSURL() string { return a.nats.URL() }

// AllowOrigin lets the pages of one more origin connect, beside
// SOCKET_CLIENT_ORIGIN. It must be called before [App.Run].
func (a *App) AllowOrigin(origin string) { a.cfg.Origins += "," + origin }

// Handle adds a page of the caller's. It must be called before [App.Run].
func (a *App) Handle(pattern string, handler http.Handler) { a.mux.Handle(pattern, handler) }

// Go adds a part of the caller's, which runs from [App.Run] on until the
// application stops. It must be called before.
func (a *App) Go(name string, part func(ctx context.Context) error) {
	a.guests = append(a.guests, guest{name, part})
}

// guest is a part that the caller of [App.Go] brought.
type guest struct {
	name string
	run  func(ctx context.Context) error
}

// Run serves until ctx ends or a part fails, then stops every part: no new
// clients, ingest drained, projections acknowledged, sockets closed, backends
// closed. The error says what failed; it is nil after an orderly stop.
func (a *App) Run(ctx context.Context) error {
	failure := a.start(ctx)
	if failure == nil {
		a.logger.Info("listening", "addr", a.Addr().String(), "roles", a.cfg.Roles)
		select {
		case <-ctx.Done():
		case failure = <-a.parts.failed:
			a.logger.Error("stopping after a failure", "err", failure)
		}
	}
	began := time.Now()
	err := a.parts.stop(a.cfg.ShutdownTimeout, a.cfg.DrainPeriod())
	a.logger.Info("stopped", "took", time.Since(began).Round(time.Millisecond))
	return errors.Join(failure, err)
}

// loop runs a part that can be run again, and runs it again after a panic.
func (a *App) loop(name string, part func(ctx context.Context) error) {
	a.parts.run(name, func(ctx context.Context) error {
		return a.guard.Persist(ctx, name, func() error { return part(ctx) })
	})
}

// start starts the parts in the order in which they stand on each other.
func (a *App) start(ctx context.Context) error {
	a.loop("epoch of the log", a.log.Guard)
	embedded := a.cfg.LogAlone()
	a.loop("scrub", func(ctx context.Context) error { return a.log.Scrub(ctx, embedded) })
	if a.cfg.Has(config.RoleFanout) {
		a.tail = eventstore.NewTail(a.log)
	}
	a.startCanary()
	a.parts.keep() // and again once the hub runs
	var gateway *gateway.Gateway
	if a.cfg.Has(config.RoleFanout) {
		var err error
		if gateway, err = a.startFanout(ctx); err != nil {
			return err
		}
	}
	a.startRecorder(gateway != nil)
	if err := a.startQuestions(gateway); err != nil {
		return err
	}
	a.parts.run("work of operators", a.work.Run).weight = closingWeight
	if a.tokens != nil {
		a.loop("token keys", a.tokens.verifier.Run)
	}
	a.startRevocations(gateway)
	if err := a.startServers(gateway); err != nil {
		return err
	}
	if a.models != nil && a.cfg.Has(config.RoleProject) {
		a.parts.run("projections", func(ctx context.Context) error { return a.models.Run(ctx, a.log) }).weight = closingWeight
		behind, err := newLag(a.log, a.logger, a.registry)
		if err != nil {
			return err
		}
		a.loop("projections' lag", behind.run)
	}
	if a.ingest != nil {
		a.parts.run("ingest", a.ingest.Run).weight = ingestWeight
	}
	for _, guest := range a.guests {
		a.parts.run(guest.name, guest.run).weight = guestWeight
	}
	if a.cfg.InProduction() {
		a.parts.run("warning of NATS servers", a.warnOfSync)
	}
	a.parts.onStop("readiness", func(context.Context) error {
		a.health.draining.Store(true)
		a.drained = time.Now().Add(a.cfg.DrainPeriod())
		return nil
	})
	return nil
}

// startServers serves the public port, and ADMIN_ADDR if it is set.
func (a *App) startServers(gateway *gateway.Gateway) error {
	a.serveHealth(a.mux, func(r *http.Request) bool { return a.operators().admit(r) })
	if a.admin == nil {
		a.serveOperators(a.mux, gateway, a.operatorsOnly)
	}
	if a.ingest != nil {
		a.serveProducers()
	}
	if a.admin != nil { // first, and so stopped last: operators watch the drain
		pages := http.NewServeMux()
		a.serveHealth(pages, func(r *http.Request) bool { return !caller.OtherSite(r) })
		a.serveOperators(pages, gateway, reached)
		a.startHTTP("operators' http", a.connections.bounded(a.admin, maxOperators, 0), pages, false)
		a.logger.Info("operators' pages", "addr", a.admin.Addr().String())
	}
	most := 0
	if limit, known := machine.FileLimit(); known {
		most = connectionBound(limit, openFiles())
	}
	spare := maxSpares
	if a.admin != nil { // where the operators' pages are
		spare = 0
	}
	public, err := a.secure(a.connections.bounded(a.listener, most, spare))
	if err != nil {
		return err
	}
	a.startHTTP("http", public, a.mux, a.cfg.H2C)
	if a.acme != nil {
		a.loop("certificates", a.acme)
	}
	a.parts.onStop("drain period", a.holdListener).paced = true
	if a.sockets != nil {
		// Before the listener: sockets over polling need it to the end.
		drain := a.parts.onStop("sockets and streams", func(ctx context.Context) error { return a.drainClients(ctx, gateway) })
		drain.weight, drain.paced = closingWeight, true
	}
	return nil
}

// startFanout starts the hub on the log's live tail, and the gateway on the hub.
func (a *App) startFanout(ctx context.Context) (*gateway.Gateway, error) {
	var projection hub.Projection
	if a.models != nil {
		projection = newHubProjection(a.models, a.log)
	}
	pace := hub.DefaultConfig()
	pace.ListingBytes, pace.CacheBytes = a.cfg.MaxAnswers, a.cfg.HistoryCache
	pace.LogInProcess = a.cfg.LogAlone()
	encoder := gateway.Encoder{Offsets: a.cfg.RecoveryTTL > 0, Deflate: a.cfg.Deflate}
	hub, err := hub.New(hubLog{a.log}, a.tail, projection, a.catalogue, encoder, pace, a.logger, a.registry)
	if err != nil {
		return nil, err
	}
	origins, err := a.cfg.AllowedOrigins()
	if err != nil {
		return nil, err
	}
	saved, recovery, err := a.openSessions(ctx)
	if err != nil {
		return nil, err
	}
	proxies, err := guardrails.ParseProxies(a.cfg.TrustedProxies)
	if err != nil {
		return nil, fmt.Errorf("%w: TRUSTED_PROXIES: %w", config.ErrInvalid, err)
	}
	policy := gateway.Policy{
		Limits: a.cfg.Limits(), Origins: origins, Proxies: proxies,
		Revoked: a.revoked, Busy: a.processor.Busy, CatchUpLimit: a.cfg.CatchUp, SessionRefresh: recovery / 2, RecoveryClients: gateway.RecoveryClients(a.cfg.RecoveryFor),
		Compression:  gateway.Compression(a.cfg.Compression),
		Recorder:     a.recorder,
		SessionBytes: int(sessions.DefaultConfig().MaxBytes) / gatewaysPerStore,
	}
	var verified gateway.Tokens
	if a.tokens != nil {
		verified = a.tokens
	}
	socketConfig := socketio.DefaultConfig()
	socketConfig.Path = "/ws"
	socketConfig.KeepHeaders = append(slices.Clone(socketConfig.KeepHeaders), gateway.SocketHeaders...)
	gateway, err := gateway.New(hub, a.catalogue, policy, saved, verified, a.logger, a.registry)
	if err != nil {
		return nil, err
	}
	socketConfig.AllowOrigin = gateway.AllowOrigin
	socketConfig.DrainPeriod = a.cfg.DrainPeriod()
	socketConfig.MaxPayloadBytes = a.cfg.MaxPayload
	socketConfig.Compression = a.cfg.Deflate
	if !policy.Limits.DryRun { // which reads what it would refuse
		socketConfig.MaxEventBytes = policy.Limits.MaxMessageBytes
	}
	socketConfig.NewIntake = gateway.NewIntake
	socketConfig.QueueBytes = a.cfg.MaxOutgoing
	socketConfig.ConnectTimeout = a.cfg.ConnectTimeout
	socketConfig.BodyTimeout = a.cfg.BodyTimeout
	socketConfig.Draining = a.health.draining.Load
	sockets, err := socketio.NewServer(socketConfig, gateway, a.logger, a.registry)
	if err != nil {
		return nil, err
	}
	if err := a.startShares(gateway); err != nil {
		return nil, err
	}
	trail := audit.Beside(a.log.Client())
	hub.HonourErasures(hubErasures{trail})
	if a.recorder != nil {
		hub.RecordTo(a.recorder)
	}
	if a.traces != nil {
		hub.Trace(a.traces)
	}
	a.parts.run("hub", hub.Run)
	a.parts.keep()
	a.loop("erasures", func(ctx context.Context) error { return trail.Watch(ctx, hub.ErasureNoted) })
	a.parts.run("live tail", func(ctx context.Context) error { return a.tail.Run(ctx, hub) })
	a.loop("replays", func(ctx context.Context) error { return a.log.ServeAudience(ctx, hub) })
	a.loop("sessions", gateway.Run)
	a.loop("processor", a.processor.Run)
	a.reloads.serve(gateway)
	a.serveClients(gateway, sockets)
	a.sockets = sockets
	return gateway, nil
}

// gatewaysPerStore is by how many gateways the bound of the store of sessions is
// shared: each keeps within its part, so that the store never drops by itself what
// was saved longest ago.
const gatewaysPerStore = 4
