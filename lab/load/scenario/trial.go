package scenario

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/letswriteabook/realtime/internal/wait"
	"github.com/letswriteabook/realtime/lab/load"
	"github.com/letswriteabook/realtime/lab/load/measure"
	"github.com/letswriteabook/realtime/lab/load/metrics"
	"github.com/letswriteabook/realtime/lab/load/socket"
)

const (
	// abreast is how many sockets are dialled at once.
	abreast = 64
	// perAddress is how many sockets come from one loopback address, which has
	// about 28,000 ports for outgoing connections.
	perAddress = 20_000
	// pagePause lies between two questions to the metrics page.
	pagePause = 20 * time.Millisecond
)

// trial is one run of a scenario.
type trial struct {
	env    Env
	cfg    load.Config
	opts   load.Options
	result *load.Result
	pages  *metrics.Client
	began  time.Time
	before metrics.Page // of the first gateway, before anything was done
	all    metrics.Page // of all gateways together, likewise

	dialled     atomic.Int64
	open        atomic.Int64
	connections *measure.Timeline
	background  sync.WaitGroup // what ends with the scenario's context

	mu      sync.Mutex // guards sockets
	sockets []*socket.Socket
}

// prepare asks whether the scenario can be carried out at all.
func (t *trial) prepare(ctx context.Context, s Scenario) error {
	if err := t.cfg.Validate(); err != nil {
		return err
	}
	if err := t.something(s); err != nil {
		return err
	}
	if s.needsRedis && t.cfg.RedisURL == "" {
		return t.skip("no redisUrl: there is nowhere to publish")
	}
	var err error
	if t.before, err = t.pages.First(ctx); err != nil {
		return err
	}
	t.all, err = t.pages.Page(ctx)
	return err
}

// something refuses options with which nothing would happen, and the scenario hold
// for that.
func (t *trial) something(s Scenario) error {
	for _, key := range load.Keys() {
		switch key.Name {
		case "clientCount", "eventCount", "durationMs", "ratePerSecond":
			if s.Heeds(key) && *key.Number(&t.opts) == 0 {
				return fmt.Errorf("%s is 0: want 1 or more", key.Name)
			}
		case "redisResetSequence":
			if s.Heeds(key) && t.opts.RedisResetSequence > t.opts.EventCount {
				return fmt.Errorf("redisResetSequence is %d: want at most eventCount, %d", t.opts.RedisResetSequence, t.opts.EventCount)
			}
		}
	}
	return nil
}

// progress tells how far a step is.
func (t *trial) progress(step string, done, total int) {
	if t.env.Progress != nil {
		t.env.Progress(step, done, total)
	}
}

// newJob returns the id of a job that no other run uses.
func newJob() string { return "loadtest-" + rand.Text()[:12] }

// dial opens a socket as the next one of the trial.
func (t *trial) dial(ctx context.Context, cfg socket.Config) (*socket.Socket, error) {
	n := int(t.dialled.Add(1) - 1)
	gateways := t.cfg.Gateways()
	return t.dialTo(ctx, gateways[n%len(gateways)], n, cfg)
}

// dialFirst opens a socket on the first gateway: what limits are about.
func (t *trial) dialFirst(ctx context.Context, cfg socket.Config) (*socket.Socket, error) {
	return t.dialTo(ctx, t.cfg.Gateways()[0], int(t.dialled.Add(1)-1), cfg)
}

func (t *trial) dialTo(ctx context.Context, gateway string, n int, cfg socket.Config) (*socket.Socket, error) {
	// With a slash at its end, as socket.io-client asks: Socket.IO's own servers take
	// no other.
	cfg.Endpoint = gateway + strings.TrimRight(t.cfg.WebsocketPath, "/") + "/"
	if cfg.Origin == "" {
		cfg.Origin = t.origin(n)
	}
	if t.cfg.Token != "" {
		cfg.Auth = map[string]any{"token": t.cfg.Token}
	}
	if cfg.LocalAddr == nil && cfg.NetDial == nil {
		cfg.LocalAddr = localAddress(gateway, n)
	}
	ctx, cancel := context.WithTimeout(ctx, t.cfg.ConnectTimeout())
	defer cancel()
	s, err := socket.Dial(ctx, cfg)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	t.sockets = append(t.sockets, s)
	t.mu.Unlock()
	t.count(1)
	return s, nil
}

// count keeps the plot of connections: one was opened, or has ended.
func (t *trial) count(change int64) {
	t.connections.Add(time.Now(), float64(t.open.Add(change)))
}

// origin returns that of a socket: those of the configuration take turns.
func (t *trial) origin(n int) string {
	origins := strings.Split(t.cfg.Origin, ",")
	return strings.TrimSpace(origins[n%len(origins)])
}

// localAddress is where the nth socket comes from: for a gateway on this machine
// another address when the ports of one run out, and otherwise the system's choice.
func localAddress(gateway string, n int) *net.TCPAddr {
	parsed, err := url.Parse(gateway)
	if err != nil || n < perAddress {
		return nil
	}
	if ip := net.ParseIP(parsed.Hostname()); ip == nil || !ip.IsLoopback() || ip.To4() == nil {
		return nil
	}
	return &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(1+n/perAddress%250))}
}

// leave closes every socket.
func (t *trial) leave() {
	t.mu.Lock()
	sockets := t.sockets
	t.sockets = nil
	t.mu.Unlock()
	for _, s := range sockets {
		s.Kill()
	}
}

// forget leaves the closing of a socket to the caller: a trial with very many does not keep
// them all.
func (t *trial) forget(s *socket.Socket) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sockets = slices.DeleteFunc(t.sockets, func(other *socket.Socket) bool { return other == s })
}

// part closes some sockets as a client does that means to.
func (t *trial) part(sockets []*socket.Socket) {
	for _, s := range sockets {
		s.Close()
		t.count(-1)
	}
}

// each calls f for 0 to n−1, some at once, until one fails or ctx ends, and
// returns the first error.
func each(ctx context.Context, n, abreast int, f func(ctx context.Context, i int) error) error {
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(abreast)
	for i := range n {
		if within.Err() != nil {
			break
		}
		group.Go(func() error { return f(within, i) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

// settle asks for a page until it is as wanted, for as long as limit. It returns the
// last page, and how long that took.
func (t *trial) settle(ctx context.Context, ask func(context.Context) (metrics.Page, error), limit time.Duration, wanted func(metrics.Page) bool) (page metrics.Page, took time.Duration, err error) {
	began := time.Now()
	for {
		if page, err = ask(ctx); err != nil || wanted(page) || time.Since(began) > limit {
			return page, time.Since(began), err
		}
		if err := wait.For(ctx, pagePause); err != nil {
			return page, time.Since(began), err
		}
	}
}

// emptied waits until the pages count no more connections and subscriptions than before, and
// reports whether they do.
func (t *trial) emptied(ctx context.Context) (page metrics.Page, took time.Duration, back bool, err error) {
	none := func(p metrics.Page) bool {
		return p.TotalConnections <= t.all.TotalConnections && p.TotalSubscriptions <= t.all.TotalSubscriptions
	}
	page, took, err = t.settle(ctx, t.pages.Page, t.cfg.DisconnectTimeout(), none)
	return page, took, none(page), err
}

// gone checks that the pages count as many connections and subscriptions as
// before.
func (t *trial) gone(ctx context.Context) error {
	page, took, back, err := t.emptied(ctx)
	if err != nil {
		return err
	}
	t.result.Check("metrics are back", back,
		fmt.Sprintf("%d connections, %d subscriptions", t.all.TotalConnections, t.all.TotalSubscriptions),
		fmt.Sprintf("%d connections, %d subscriptions after %s", page.TotalConnections, page.TotalSubscriptions, took.Round(time.Millisecond)))
	t.result.Figure("releasedMs", measure.Ms(took))
	return nil
}
