package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/caarlos0/env/v11"

	"github.com/letswriteabook/realtime/internal/config"
	"github.com/letswriteabook/realtime/internal/devpage"
	"github.com/letswriteabook/realtime/internal/devstack"
	"github.com/letswriteabook/realtime/internal/sample"
	"github.com/letswriteabook/realtime/internal/server"
	"github.com/letswriteabook/realtime/internal/signals"
)

// closeTimeout bounds the stop of one server of the stack.
const closeTimeout = 10 * time.Second

// serve runs the stack until ctx ends. changed reports whether a flag was given.
func serve(ctx context.Context, opts options, changed func(flag string) bool, out io.Writer) (err error) {
	environ := env.ToMap(os.Environ())
	cfg, err := config.Load(withDefaults(environ))
	if err != nil {
		return err
	}
	if changed("port") {
		cfg.Port = opts.port
	}
	dir, remove, err := dataDir(opts.dataDir)
	if err != nil {
		return err
	}
	defer remove()
	cfg.DataDir = filepath.Join(dir, "jetstream")

	redis, err := startOn(opts.redis, changed("redis-addr"), out, "Redis", func(addr string) (*devstack.Redis, error) {
		return devstack.StartRedis(devstack.RedisConfig{Addr: addr})
	})
	if err != nil {
		return fmt.Errorf("--redis-addr: %w", err)
	}
	defer redis.Close()
	mongo, err := startOn(opts.mongo, changed("mongo-addr"), out, "MongoDB", func(addr string) (*devstack.Mongo, error) {
		return devstack.StartMongo(ctx, devstack.MongoConfig{Addr: addr, Dir: filepath.Join(dir, "mongodb")})
	})
	if err != nil {
		return fmt.Errorf("--mongo-addr: %w", err)
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		err = errors.Join(err, mongo.Close(closing))
	}()

	cfg.Listen = "" // it serves its pages on a port instead
	cfg.RedisURL, cfg.MongoDBURI, cfg.NATSURL = "redis://"+redis.Addr(), mongo.URI(), ""
	portGiven := changed("port") || environ["PORT"] != ""
	logger := config.NewLogger(os.Stderr, cfg)
	signals.Service(ctx, logger, nil)
	gateway, err := startOn(opts.nats, changed("nats-addr"), out, "NATS", func(addr string) (*server.App, error) {
		cfg.NATSListen = addr
		gateway, err := server.Open(ctx, cfg, logger)
		if errors.Is(err, server.ErrPort) && errors.Is(err, syscall.EADDRINUSE) && !portGiven {
			fmt.Fprintf(out, "port %d is taken; the gateway takes a free one\n", cfg.Port)
			cfg.Port = 0
			gateway, err = server.Open(ctx, cfg, logger)
		}
		return gateway, err
	})
	if err != nil {
		return err
	}
	allowDevelopment(gateway)
	info := pageInfo(cfg, gateway, redis.Addr(), mongo.URI())
	built, err := servePages(gateway, info, opts.page)
	if err == nil && !built && changed("page") {
		err = fmt.Errorf("%q has no built page", opts.page)
	}
	if err != nil {
		return fmt.Errorf("--page: %w", err)
	}
	announce(out, info, dir)
	if !built {
		fmt.Fprint(out, "  The job page is not built, and / is a plain one. To build it, with Node:\n  npm ci --prefix web && npm run build --prefix web\n\n")
	}
	if opts.sample {
		gateway.Go("sample", func(ctx context.Context) error { return sample.Run(ctx, cfg.RedisURL, logger) })
	}
	return gateway.Run(ctx)
}

// withDefaults restricts the stack to this machine, reduces its log and shortens its stop,
// unless the environment sets these.
func withDefaults(environ map[string]string) map[string]string {
	settings := map[string]string{"LOG_FORMAT": "text", "LOG_LEVEL": "warn", "NATS_SYNC": "10s", "DRAIN_SECONDS": "0", "HOST": "127.0.0.1"}
	for name, value := range environ {
		settings[name] = value
	}
	return settings
}

// startOn starts a server on an address. If a default address is taken, it uses a free one;
// it does not replace an address that was given.
func startOn[T any](addr string, given bool, out io.Writer, name string, start func(addr string) (T, error)) (T, error) {
	started, err := start(addr)
	if given || !errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, server.ErrPort) {
		return started, err
	}
	fmt.Fprintf(out, "%s is taken; %s takes a free port\n", addr, name)
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return started, err
	}
	return start(net.JoinHostPort(host, "0"))
}

// dataDir creates the folder of the stack. remove removes it if it is temporary.
func dataDir(asked string) (dir string, remove func(), err error) {
	if asked != "" {
		return asked, func() {}, os.MkdirAll(asked, 0o755)
	}
	dir, err = os.MkdirTemp("", "realtime-dev-")
	return dir, func() { _ = os.RemoveAll(dir) }, err
}

func pageInfo(cfg config.Config, gateway *server.App, redisAddr, mongoURI string) devpage.Info {
	port := gateway.Addr().(*net.TCPAddr).Port
	host, redisPort, _ := net.SplitHostPort(redisAddr)
	return devpage.Info{
		Job: sample.Job, Gateway: "http://localhost:" + strconv.Itoa(port),
		RedisHost: host, RedisPort: redisPort, MongoURI: mongoURI, NATSURL: gateway.NATSURL(), Origin: cfg.Origins,
	}
}

// servePages adds the plain page and, at /, the job page if dir has it.
func servePages(gateway *server.App, info devpage.Info, dir string) (built bool, err error) {
	plain, err := devpage.Handler(info)
	if err != nil {
		return false, err
	}
	gateway.Handle("GET "+devpage.HelpPath, plain)
	var jobs []devpage.Job
	for _, novel := range sample.Novels {
		jobs = append(jobs, devpage.Job{ID: novel.Job, Title: novel.Title})
	}
	page, err := devpage.Built(dir, jobs)
	if errors.Is(err, fs.ErrNotExist) {
		gateway.Handle("GET /{$}", plain)
		return false, nil
	}
	if err != nil {
		return false, err
	}
	for _, pattern := range []string{"GET /{$}", "GET /config.json", "GET /assets/"} {
		gateway.Handle(pattern, page)
	}
	return true, nil
}

// developmentPorts are the default ports of development servers: Next.js and others, Remix,
// Astro, Vite's preview, Angular, Vite, Storybook, Django, webpack, Expo, and Parcel.
var developmentPorts = []int{3000, 3001, 3002, 4173, 4200, 4321, 5000, 5173, 5174, 6006, 8000, 8080, 8081, 1234, 19006}

// allowDevelopment lets pages of the stack and of the usual development servers on this
// machine connect.
func allowDevelopment(gateway *server.App) {
	ports := append([]int{gateway.Addr().(*net.TCPAddr).Port}, developmentPorts...)
	for _, host := range []string{"localhost", "127.0.0.1"} {
		for _, port := range ports {
			gateway.AllowOrigin("http://" + net.JoinHostPort(host, strconv.Itoa(port)))
		}
	}
}

func announce(out io.Writer, info devpage.Info, dir string) {
	fmt.Fprintf(out, `
  page, gateway   %s
  Redis           redis://%s:%s
  MongoDB         %s
  NATS            %s
  data            %s

`, info.Gateway, info.RedisHost, info.RedisPort, info.MongoURI, info.NATSURL, dir)
}
