package redisdial

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/letswriteabook/realtime/messaging"
)

const (
	// watchInterval is how often the place of the server is asked for while the
	// application runs, and so how long a subscription may stay with a server that was
	// replaced and still answers.
	watchInterval = time.Second
	// askTimeout bounds each question to one Sentinel, or to the cluster.
	askTimeout = 2 * time.Second
	// keepAlive finds a server whose machine is gone.
	keepAlive = 5 * time.Minute
)

// errNoSentinel is returned while no Sentinel names the primary.
var errNoSentinel = errors.New("no Sentinel names the primary")

// Servers opens connections to the server that carries the events. Its methods may be
// called concurrently.
type Servers struct {
	cfg       Config
	options   *redis.Options
	addresses []string
	logger    *slog.Logger
	secured   bool                 // with TLS
	cluster   *redis.ClusterClient // nil without Mode Cluster

	mu sync.Mutex // guards open
	// open has the connections to servers that can be replaced, as many as clients keep.
	open map[*conn]struct{}
}

// conn is a connection whose end is noted.
type conn struct {
	net.Conn
	address string // as it was located
	servers *Servers
	once    sync.Once
}

// New connects to nothing. The error is about the settings, and repeats no secret.
func New(cfg Config, logger *slog.Logger) (*Servers, error) {
	cfg.Mode = cmp.Or(cfg.Mode, Single)
	options, addresses, err := cfg.parse()
	if err != nil {
		return nil, err
	}
	s := &Servers{cfg: cfg, options: options, addresses: addresses, logger: logger, open: make(map[*conn]struct{})}
	if options.TLSConfig != nil {
		if err := cfg.TLS.Check(); err != nil {
			return nil, err
		}
	}
	if options.DialTimeout == 0 {
		options.DialTimeout = 5 * time.Second // the client's own default
	}
	s.secured = options.TLSConfig != nil
	// TLSConfig says whether TLS is used; its content does not count, for connect dials.
	options.Dialer = s.dial
	if cfg.Mode == Cluster {
		s.cluster = redis.NewClusterClient(&redis.ClusterOptions{
			Addrs: addresses, Username: options.Username, Password: options.Password, Protocol: 2, MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
			MaxRedirects: 3, PoolSize: 2, DialTimeout: options.DialTimeout, ReadTimeout: askTimeout, WriteTimeout: askTimeout, ContextTimeoutEnabled: true,
			Dialer: s.connect,
		})
	}
	return s, nil
}

// Close ends what locates the server. Connections stay with their owners.
func (s *Servers) Close() error {
	if s.cluster != nil {
		return s.cluster.Close()
	}
	return nil
}

// Options returns options for clients, with a dialer that finds the server. They are a
// copy, except for the dialer.
func (s *Servers) Options() *redis.Options {
	options := *s.options
	return &options
}

// Run closes the connections to a server that is no longer the one, until ctx ends.
func (s *Servers) Run(ctx context.Context) error {
	if s.cfg.Mode == Single {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		s.check(ctx)
	}
}

// check closes connections to servers that were replaced.
func (s *Servers) check(ctx context.Context) {
	s.mu.Lock()
	idle := len(s.open) == 0
	s.mu.Unlock()
	if idle {
		return
	}
	if s.cluster != nil {
		s.cluster.ReloadState(ctx)
	}
	address, err := s.locate(ctx)
	if err != nil {
		return // who connects is told
	}
	s.mu.Lock()
	var stale []*conn
	for c := range s.open {
		if c.address != address {
			stale = append(stale, c)
		}
	}
	s.mu.Unlock()
	if len(stale) == 0 {
		return
	}
	s.logger.Warn("Redis has another primary: the connections to the one before are closed", "primary", address, "before", stale[0].address, "connections", len(stale))
	for _, c := range stale {
		_ = c.Close()
	}
}

// dial connects to the server that carries the events now.
func (s *Servers) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if s.cfg.Mode == Single {
		return s.connect(ctx, network, address)
	}
	address, err := s.locate(ctx)
	if err != nil {
		return nil, err
	}
	opened, err := s.connect(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: opened, address: address, servers: s}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[c] = struct{}{}
	return c, nil
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.once.Do(func() {
		c.servers.mu.Lock()
		defer c.servers.mu.Unlock()
		delete(c.servers.open, c)
	})
	return c.Conn.Close()
}

// connect opens a connection to one address.
func (s *Servers) connect(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: s.options.DialTimeout, KeepAlive: keepAlive}
	if !s.secured {
		return dialer.DialContext(ctx, network, address)
	}
	settings, err := s.cfg.TLS.Client() // as the files are now
	if err != nil {
		return nil, err
	}
	return (&tls.Dialer{NetDialer: dialer, Config: settings}).DialContext(ctx, network, address)
}

// locate returns the address of the server that carries the events.
func (s *Servers) locate(ctx context.Context) (string, error) {
	if s.cluster != nil {
		ctx, cancel := context.WithTimeout(ctx, askTimeout)
		defer cancel()
		node, err := s.cluster.MasterForKey(ctx, messaging.EventsChannel)
		if err != nil {
			return "", fmt.Errorf("locate a node of the Redis Cluster: %w", err)
		}
		return node.Options().Addr, nil
	}
	s.mu.Lock()
	sentinels := slices.Clone(s.addresses)
	s.mu.Unlock()
	var failures []error
	for _, address := range sentinels {
		primary, err := s.ask(ctx, address)
		if err == nil {
			s.prefer(address)
			return primary, nil
		}
		failures = append(failures, fmt.Errorf("%s: %w", address, err))
		if ctx.Err() != nil {
			break
		}
	}
	return "", fmt.Errorf("%w %q: %w", errNoSentinel, s.cfg.MasterName, errors.Join(failures...))
}

// ask asks one Sentinel for the primary.
func (s *Servers) ask(ctx context.Context, address string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	client := redis.NewSentinelClient(&redis.Options{
		Addr: address, Username: s.cfg.SentinelUser, Password: s.cfg.SentinelPassword, MaxRetries: -1, PoolSize: 1, Protocol: 2,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		ContextTimeoutEnabled:    true, DialTimeout: askTimeout, ReadTimeout: askTimeout, WriteTimeout: askTimeout,
		Dialer: s.connect,
	})
	defer client.Close()
	place, err := client.GetMasterAddrByName(ctx, s.cfg.MasterName).Result()
	switch {
	case errors.Is(err, redis.Nil):
		return "", errors.New("it watches no primary of that name")
	case err != nil:
		return "", err
	case len(place) != 2:
		return "", fmt.Errorf("the answer has %d parts, want 2", len(place))
	}
	return net.JoinHostPort(place[0], place[1]), nil
}

// prefer moves a Sentinel that answers to the front.
func (s *Servers) prefer(address string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.addresses, address); i > 0 {
		s.addresses = slices.Concat([]string{address}, s.addresses[:i], s.addresses[i+1:])
	}
}
