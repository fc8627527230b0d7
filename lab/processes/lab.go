package processes

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/letswriteabook/realtime/internal/freeaddr"
)

// Config is the configuration of a lab.
type Config struct {
	// Programs come from [Build] or [Find].
	Programs Programs
	// Dir holds all files of the processes. It is created, and removed by [Lab.Close] unless
	// Keep is set.
	Dir  string
	Keep bool
	// Nodes is the number of NATS servers: 0, 1 or a cluster of 3. With 0 each gateway keeps
	// a log of its own in its folder, and accepts NATS clients.
	Nodes int
	// Replicas is how many nodes hold the log: 1 or 3; 0 means all nodes.
	Replicas int
	// Sync is when a NATS server writes to disk: "always" or an interval such as
	// "10s". Empty means "always".
	Sync string
	// Mongo gives the gateways the lab's MongoDB-protocol server.
	Mongo bool
}

// Validate returns an error that names the first invalid field.
func (c Config) Validate() error {
	switch {
	case c.Programs.Realtime == "" || c.Programs.Redis == "":
		return errors.New("lab: Programs lacks realtime or redis-server")
	case c.Nodes > 0 && c.Programs.NATS == "":
		return errors.New("lab: Programs lacks nats-server, and Nodes is not 0")
	case c.Mongo && c.Programs.Dev == "":
		return errors.New("lab: Programs lacks realtime-dev, and Mongo is set")
	case c.Dir == "":
		return errors.New("lab: Dir is empty")
	case c.Nodes != 0 && c.Nodes != 1 && c.Nodes != maxNodes:
		return fmt.Errorf("lab: Nodes is %d, must be 0, 1 or %d", c.Nodes, maxNodes)
	case c.Replicas != 0 && c.Replicas != 1 && c.Replicas != c.Nodes:
		return fmt.Errorf("lab: Replicas is %d, must be 1 or the number of nodes, %d", c.Replicas, c.Nodes)
	}
	return nil
}

// maxNodes is the number of configuration files in deploy/cluster.
const maxNodes = 3

// deduplicationWindow is how long the lab's logs remember an id.
const deduplicationWindow = "2m"

// logMaxBytes bounds the lab's logs.
const logMaxBytes = 1 << 30

// Lab is one system. Its methods may be called concurrently.
type Lab struct {
	cfg   Config
	redis *Process
	mongo *Process
	nodes []*node

	mu        sync.Mutex // guards the fields below
	gateways  []*Process
	processes []*Process // in the order of creation
}

// New prepares a system and starts nothing.
func New(cfg Config) (*Lab, error) {
	if cfg.Sync == "" {
		cfg.Sync = "always"
	}
	if cfg.Replicas == 0 {
		cfg.Replicas = max(cfg.Nodes, 1)
	}
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("lab: Dir: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	cfg.Dir = dir
	l := &Lab{cfg: cfg}
	if l.redis, err = l.newRedis(); err != nil {
		return nil, err
	}
	if l.mongo, err = l.newMongo(); err != nil {
		return nil, err
	}
	if l.nodes, err = l.newNodes(); err != nil {
		return nil, err
	}
	return l, nil
}

// Dir returns the lab's folder.
func (l *Lab) Dir() string { return l.cfg.Dir }

// Root returns the folder of the module, or "".
func (l *Lab) Root() string { return l.cfg.Programs.Root }

// Replicas returns how many servers hold the log.
func (l *Lab) Replicas() int { return l.cfg.Replicas }

// Redis returns the redis-server, without persistence.
func (l *Lab) Redis() *Process { return l.redis }

// RedisURL returns the address of the redis-server.
func (l *Lab) RedisURL() string { return "redis://" + l.redis.Addr() }

// Mongo returns the MongoDB-protocol server: FerretDB on SQLite.
func (l *Lab) Mongo() *Process { return l.mongo }

// MongoURI returns the address of the MongoDB-protocol server with the
// database's name.
func (l *Lab) MongoURI() string { return "mongodb://" + l.mongo.Addr() + "/realtime" }

// NATS returns a node, from 0 on. It panics beyond Config.Nodes.
func (l *Lab) NATS(n int) *Process { return l.nodes[n].Process }

// Nodes returns the number of NATS servers.
func (l *Lab) Nodes() int { return len(l.nodes) }

// NATSURL returns the addresses of all nodes or, without nodes, the address of the first
// gateway's log.
func (l *Lab) NATSURL() string {
	var urls []string
	for _, n := range l.nodes {
		urls = append(urls, "nats://"+n.Addr())
	}
	if len(urls) > 0 {
		return strings.Join(urls, ",")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, g := range l.gateways {
		return "nats://" + g.variable("NATS_LISTEN")
	}
	return ""
}

// Gateway returns a new gateway on the lab's servers. The given variables override the
// lab's own in its environment; an empty value removes a variable.
func (l *Lab) Gateway(env map[string]string) (*Process, error) {
	l.mu.Lock()
	number := len(l.gateways) + 1
	l.mu.Unlock()
	name := "gateway-" + strconv.Itoa(number)
	address, err := freeaddr.New()
	if err != nil {
		return nil, err
	}
	all := map[string]string{
		"HOST": "127.0.0.1", "PORT": port(address), "DRAIN_SECONDS": "0",
		"REDIS_URL": l.RedisURL(), "SOCKET_CLIENT_ORIGIN": "*",
		"STREAM_REPLICAS": strconv.Itoa(l.cfg.Replicas), "STREAM_MAX_BYTES": strconv.Itoa(logMaxBytes),
		"STREAM_DEDUP_WINDOW": deduplicationWindow,
	}
	if l.cfg.Mongo {
		all["MONGODB_URI"] = l.MongoURI()
	}
	if len(l.nodes) > 0 {
		all["NATS_URL"] = l.NATSURL()
	} else {
		listen, err := freeaddr.New()
		if err != nil {
			return nil, err
		}
		all["DATA_DIR"], all["NATS_LISTEN"], all["NATS_SYNC"] = filepath.Join(l.cfg.Dir, name), listen, l.cfg.Sync
	}
	maps.Copy(all, env)
	maps.DeleteFunc(all, func(_, value string) bool { return value == "" })
	gateway := l.add(&Process{
		name: name, path: l.cfg.Programs.Realtime, args: []string{"serve"},
		addr: address, env: all, ready: httpReady("http://" + address + "/health/ready"),
	})
	l.mu.Lock()
	l.gateways = append(l.gateways, gateway)
	l.mu.Unlock()
	return gateway, nil
}

// add adds a process to those that the lab ends.
func (l *Lab) add(p *Process) *Process {
	p.output = &output{}
	if p.env == nil {
		p.env = map[string]string{}
	}
	p.env["TMPDIR"] = l.cfg.Dir
	l.mu.Lock()
	defer l.mu.Unlock()
	l.processes = append(l.processes, p)
	return p
}

// Start starts the NATS servers, Redis and, with Config.Mongo, the
// MongoDB-protocol server, and waits until they serve.
func (l *Lab) Start(ctx context.Context) error {
	started := []*Process{l.redis}
	if l.cfg.Mongo {
		started = append(started, l.mongo)
	}
	for _, n := range l.nodes {
		started = append(started, n.Process)
	}
	for _, p := range started {
		if err := p.Launch(); err != nil {
			return err
		}
	}
	for _, p := range started {
		if err := p.Ready(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Close kills every process, the newest first, and removes the folder.
func (l *Lab) Close() error {
	l.mu.Lock()
	all := slices.Clone(l.processes)
	l.mu.Unlock()
	for i := len(all) - 1; i >= 0; i-- {
		all[i].Kill()
	}
	if l.cfg.Keep {
		return nil
	}
	if err := os.RemoveAll(l.cfg.Dir); err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	return nil
}
