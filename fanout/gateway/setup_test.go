package gateway_test

import (
	"bytes"
	"cmp"
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/fanout/gateway"
	"github.com/letswriteabook/realtime/fanout/hub"
	"github.com/letswriteabook/realtime/fanout/recorder"
	"github.com/letswriteabook/realtime/fanout/socketio"
	"github.com/letswriteabook/realtime/guardrails"
	"github.com/letswriteabook/realtime/internal/pipenet"
	"github.com/letswriteabook/realtime/messaging"
)

// patience bounds what should happen at once, on a machine that is busy.
const patience = 30 * time.Second

// stage is one running gateway on a memoryLog, reached over HTTP.
type stage struct {
	t        testing.TB
	log      *memoryLog
	tail     *memoryTail
	hub      *hub.Hub
	gateway  *gateway.Gateway
	registry *prometheus.Registry
	diary    *diary
	url      string
	dial     func(ctx context.Context, network, address string) (net.Conn, error)
	client   *http.Client
	stop     func() // what ends the gateway; called by the test's cleanup, too
}

// options change a stage. The zero value is a gateway with the defaults, at a
// pace that suits tests.
type options struct {
	recovery     gateway.RecoveryClients
	log          *memoryLog // nil for an own one
	source       hub.Log    // in place of log, with live in place of its tail
	live         hub.Tail
	reads        hub.Projection  // in place of log's
	sessions     *memorySessions // nil: no connection state recovery
	refresh      time.Duration   // of sessions; 0: beyond any test
	sessionBytes int             // 0: no bound
	tokens       gateway.Tokens  // nil: nobody needs one
	revoked      func(guardrails.Grant) bool
	erasures     hub.Erasures       // nil: nothing is erased
	recorder     *recorder.Recorder // nil: nothing is recorded
	tracer       hub.Tracer
	withoutDB    bool
	catalogue    *messaging.Catalogue
	limits       guardrails.Limits
	busy         func() bool // of the processors; never by default
	proxies      []netip.Prefix
	origins      string // "*" by default
	catchUp      int    // 250 by default
	config       func(*hub.Config)
	sockets      func(*socketio.Config)
	deflate      bool
	pipe         bool                // in memory, for a test in a bubble of fake time
	answerBytes  int64               // that answers over REST hold; 64 MiB by default
	cacheBytes   int64               // of pages of history; none by default, so that each reader reads
	compression  gateway.Compression // of answers over HTTP: none by default
}

// testPace is fast enough to wait for.
func testPace() hub.Config {
	return hub.Config{
		CheckDelay: 20 * time.Millisecond, CheckInterval: 100 * time.Millisecond, RetryInterval: 2 * time.Millisecond,
		Linger: 200 * time.Millisecond, ReadTimeout: 10 * time.Second, ProjectionTimeout: 10 * time.Second,
	}
}

// unhurried is the pace of production, for tests in a bubble of fake time: there
// a fast one only costs real time.
func unhurried(c *hub.Config) { *c = hub.DefaultConfig() }

func setup(t testing.TB, opts options) *stage {
	t.Helper()
	s := &stage{t: t, log: opts.log, registry: prometheus.NewRegistry(), diary: &diary{}}
	if s.log == nil {
		s.log = newMemoryLog()
	}
	s.tail = newMemoryTail(s.log)
	logger := slog.New(slog.NewTextHandler(s.diary, &slog.HandlerOptions{Level: slog.LevelDebug}))
	config := testPace()
	if opts.config != nil {
		opts.config(&config)
	}
	config.ListingBytes = cmp.Or(opts.answerBytes, 64<<20)
	config.CacheBytes = opts.cacheBytes
	var projection hub.Projection
	if !opts.withoutDB {
		projection = memoryProjection{s.log}
	}
	if opts.reads != nil {
		projection = opts.reads
	}
	catalogue := opts.catalogue
	if catalogue == nil {
		catalogue = messaging.DefaultCatalogue()
	}
	var sessions gateway.Sessions
	encoder := gateway.Encoder{Deflate: opts.deflate}
	if opts.sessions != nil {
		sessions, encoder.Offsets = opts.sessions, true
	}
	source, live := hub.Log(s.log), hub.Tail(s.tail)
	if opts.source != nil {
		source, live = opts.source, opts.live
	}
	var err error
	if s.hub, err = hub.New(source, live, projection, catalogue, encoder, config, logger, s.registry); err != nil {
		t.Fatal(err)
	}
	if opts.erasures != nil {
		s.hub.HonourErasures(opts.erasures)
	}
	if opts.tracer != nil {
		s.hub.Trace(opts.tracer)
	}
	if opts.recorder != nil {
		s.hub.RecordTo(opts.recorder)
	}
	s.log.set(func(*memoryLog) { s.tail.hub = s.hub })
	if s.gateway, err = gateway.New(s.hub, catalogue, opts.policy(t), sessions, opts.tokens, logger, s.registry); err != nil {
		t.Fatal(err)
	}
	socketConfig := socketio.DefaultConfig()
	socketConfig.KeepHeaders = append(slices.Clone(socketConfig.KeepHeaders), gateway.SocketHeaders...)
	socketConfig.NewIntake = s.gateway.NewIntake
	socketConfig.Compression = opts.deflate
	if opts.sockets != nil {
		opts.sockets(&socketConfig)
	}
	sockets, err := socketio.NewServer(socketConfig, s.gateway, logger, s.registry)
	if err != nil {
		t.Fatal(err)
	}
	s.serve(opts.pipe, sockets)
	return s
}

func (o options) policy(t testing.TB) gateway.Policy {
	t.Helper()
	if o.limits.MaxSubscriptionsPerClient == 0 {
		o.limits.MaxSubscriptionsPerClient = 10_000
	}
	if o.origins == "" {
		o.origins = "*"
	}
	origins, err := guardrails.ParseOrigins(o.origins, false)
	if err != nil {
		t.Fatal(err)
	}
	if o.catchUp == 0 {
		o.catchUp = 250
	}
	if o.refresh == 0 {
		o.refresh = time.Hour
	}
	return gateway.Policy{RecoveryClients: o.recovery, Limits: o.limits, Origins: origins, Proxies: o.proxies, CatchUpLimit: o.catchUp, SessionRefresh: o.refresh, SessionBytes: o.sessionBytes, Compression: o.compression, Revoked: o.revoked, Recorder: o.recorder, Busy: o.busy}
}

// serve runs the hub and an HTTP server until the test ends.
func (s *stage) serve(pipe bool, sockets *socketio.Server) {
	s.t.Helper()
	mux := http.NewServeMux()
	mux.Handle("/ws", s.gateway.ShareSockets(sockets))
	mux.Handle("/api/realtime/jobs/{jobId}/stream", s.gateway.Preflights("GET", http.HandlerFunc(s.gateway.ServeStream)))
	mux.HandleFunc("GET /api/realtime/stream", s.gateway.ServeStream)
	mux.HandleFunc("GET /api/novel/events", s.gateway.ServeEvents)
	mux.Handle("/api/novel/{jobId}/events", s.gateway.Preflights("GET", http.HandlerFunc(s.gateway.ServeEvents)))
	mux.HandleFunc("GET /internal/realtime/metrics", s.gateway.ServeSnapshot)
	var listener net.Listener
	if pipe {
		network := pipenet.Listen()
		listener, s.dial = network, network.Dial
	} else {
		var err error
		if listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			s.t.Fatal(err)
		}
		s.dial = (&net.Dialer{}).DialContext
	}
	s.url = "http://" + listener.Addr().String()
	transport := &http.Transport{DialContext: s.dial, DisableKeepAlives: true}
	s.client = &http.Client{Transport: transport}

	ctx, cancel := context.WithCancel(context.Background())
	requests, endRequests := context.WithCancel(context.Background())
	server := &http.Server{Handler: mux, BaseContext: func(net.Listener) context.Context { return requests }}
	var running sync.WaitGroup
	running.Go(func() { _ = s.hub.Run(ctx) })         // stopped by cancel
	running.Go(func() { _ = s.gateway.Run(ctx) })     // likewise
	running.Go(func() { _ = server.Serve(listener) }) // stopped by Shutdown
	s.stop = sync.OnceFunc(func() {
		endRequests()
		ending, done := context.WithTimeout(context.Background(), patience)
		defer done()
		if err := sockets.Shutdown(ending); err != nil {
			s.t.Errorf("shut the sockets down: %v", err)
		}
		if err := server.Shutdown(ending); err != nil {
			s.t.Errorf("shut the server down: %v", err)
		}
		cancel()
		s.tail.stop()
		running.Wait()
	})
	s.t.Cleanup(s.stop)
}

// in returns the stage for a subtest, which its clients report to.
func (s *stage) in(t testing.TB) *stage {
	inner := *s
	inner.t = t
	return &inner
}

// snapshot returns the metrics page's content.
func (s *stage) snapshot() gateway.Snapshot { return s.gateway.Snapshot() }

// diary collects what is logged.
type diary struct {
	mu   sync.Mutex // guards both
	text bytes.Buffer
	bomb string // a line with it panics; empty: none does
}

// Write implements io.Writer.
func (d *diary) Write(line []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.bomb != "" && bytes.Contains(line, []byte(d.bomb)) {
		panic("for the test")
	}
	return d.text.Write(line)
}

// set makes the next lines with a text panic.
func (d *diary) set(bomb string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.bomb = bomb
}

// count returns how many lines have all of the parts.
func (d *diary) count(parts ...string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	found := 0
lines:
	for line := range strings.Lines(d.text.String()) {
		for _, part := range parts {
			if !strings.Contains(line, part) {
				continue lines
			}
		}
		found++
	}
	return found
}
