package natsserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/letswriteabook/realtime/internal/filelock"
)

var (
	// ErrFolderInUse is returned by [Start] when another server, in this or
	// another process, holds the data folder. A retry helps once that one ended.
	ErrFolderInUse = errors.New("data folder is in use by another server")
	// errStart is returned by [Start] when nats-server refused to start.
	errStart = errors.New("nats-server did not start")
)

// startTimeout is how long the server may take to recover its streams. Reading
// back a large log after a crash takes seconds per gigabyte.
const startTimeout = 2 * time.Minute

// maxStoreBytes lifts the server's own reservation check: a stream's limit may
// be larger than the free disk of today, and a full disk is reported as such.
const maxStoreBytes = 1 << 50

// MaxLogBytes is the largest limit of one stream that leaves room for the others.
const MaxLogBytes = maxStoreBytes / 2

// LockFile is the file in a data folder that the server on it has taken.
const LockFile = "LOCK"

// Server is a running embedded nats-server. Its methods may be called
// concurrently.
type Server struct {
	cfg  Config
	lock *filelock.Lock
	// private says that nobody is told the port for clients.
	private bool

	// mu guards nats, which [Server.mend] replaces.
	mu   sync.RWMutex
	nats *server.Server

	closeOnce sync.Once
	stop      chan struct{} // Closed to end mend.
	mended    chan struct{} // Closed once mend has ended.
	closed    chan struct{} // Closed once the server has ended and the folder is free.
}

// Start runs a server on the folder and returns once it takes connections.
//
// It returns [ErrFolderInUse] when the folder has another owner, [ErrNewerFormat] for one
// of a later version, errStart when nats-server refused, and an error that matches syscall.EADDRINUSE when
// the port is taken.
func Start(cfg Config) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(cfg.StoreDir, 0o750); err != nil {
		return nil, fmt.Errorf("make data folder: %w", err)
	}
	if err := probeWritable(cfg.StoreDir, 0); err != nil {
		return nil, fmt.Errorf("data folder %s cannot be written: %w", cfg.StoreDir, err)
	}
	lock, err := filelock.Take(filepath.Join(cfg.StoreDir, LockFile))
	if errors.Is(err, filelock.ErrLocked) {
		return nil, fmt.Errorf("%w: %w", ErrFolderInUse, err)
	}
	if err != nil {
		return nil, err
	}
	if err := claimFormat(cfg.StoreDir); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	private := cfg.Listen == "" && !cfg.Cluster.Alone()
	if private {
		cfg.keepPrivate()
	}
	instance, err := run(cfg)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	s := &Server{
		cfg: cfg, lock: lock, nats: instance, private: private,
		stop: make(chan struct{}), mended: make(chan struct{}), closed: make(chan struct{}),
	}
	if instance.Addr() != nil {
		// The port stays the same when the server is mended.
		s.cfg.Listen = instance.Addr().String()
	}
	go s.mend() // Stopped by Close.
	return s, nil
}

// Conn opens a connection inside this process, without a port.
func (s *Server) Conn(opts ...nats.Option) (*nats.Conn, error) {
	own := []nats.Option{nats.InProcessServer(inProcess{s})}
	if users := s.cfg.clients(); users.Name != "" {
		own = append(own, nats.UserInfo(users.Name, users.Password))
	}
	conn, err := nats.Connect("", append(own, opts...)...)
	if err != nil {
		return nil, fmt.Errorf("connect to the embedded nats-server: %w", err)
	}
	return conn, nil
}

// inProcess connects, and reconnects, to whichever instance runs.
type inProcess struct{ server *Server }

func (p inProcess) InProcessConn() (net.Conn, error) { return p.server.instance().InProcessConn() }

// ClientURL returns the address for NATS clients, or nothing when the server
// does not listen.
func (s *Server) ClientURL() string {
	if s.private {
		return ""
	}
	instance := s.instance()
	if instance.Addr() == nil {
		return ""
	}
	return instance.ClientURL()
}

// Close ends the server and gives the folder back. It waits for the files to be
// written out, or for ctx; in the latter case the server goes on ending. It may
// be called again.
func (s *Server) Close(ctx context.Context) error {
	s.closeOnce.Do(func() {
		close(s.stop)
		// Ends by itself: each wait below is for something that was told to end.
		go func() {
			defer close(s.closed)
			<-s.mended
			end(s.instance())
			_ = s.lock.Close() // Closing a file that was only locked loses nothing.
		}()
	})
	select {
	case <-s.closed:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("close the embedded nats-server: %w", ctx.Err())
	}
}

func (s *Server) instance() *server.Server {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.nats
}

// end stops an instance and waits until its files are written out.
func end(instance *server.Server) {
	instance.Shutdown()
	instance.WaitForShutdown()
}

// run starts nats-server and waits until it is ready.
func run(cfg Config) (*server.Server, error) {
	opts, err := options(cfg)
	if err != nil {
		return nil, err
	}
	instance, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errStart, err)
	}
	sink := &serverLog{logger: cfg.Logger}
	instance.SetLoggerV2(sink, false, false, false)

	instance.Start()
	ready := sink.failure() == "" && instance.ReadyForConnections(startTimeout)
	failure := sink.failure()
	if ready && failure == "" {
		return instance, nil
	}
	end(instance)
	if failure == "" {
		failure = fmt.Sprintf("not ready after %s", startTimeout)
	}
	return nil, fmt.Errorf("%w: %s", errStart, failure)
}

// options translates the config.
func options(cfg Config) (*server.Options, error) {
	opts := &server.Options{
		DontListen:        cfg.Listen == "",
		NoSigs:            true,
		JetStream:         true,
		JetStreamMaxStore: maxStoreBytes,
		StoreDir:          cfg.StoreDir,
		SyncAlways:        cfg.SyncAlways,
		SyncInterval:      cfg.SyncInterval,
		MaxPayload:        MaxPayloadBytes,
	}
	if opts.SyncInterval == 0 {
		opts.SyncInterval = defaultSyncInterval
	}
	if err := cfg.apply(opts); err != nil {
		return nil, err
	}
	if cfg.Listen == "" {
		return opts, nil
	}
	var err error
	if opts.Host, opts.Port, err = splitListen(cfg.Listen); err != nil {
		return nil, fmt.Errorf("listen for NATS clients on %s: %w", cfg.Listen, err)
	}
	if opts.Port == 0 {
		opts.Port = server.RANDOM_PORT
		return opts, nil
	}
	return opts, free(cfg.Listen, "NATS clients")
}

// probeWritable makes a file of that size and removes it: permissions, read-only
// mounts and full disks show in no other portable way.
func probeWritable(dir string, sizeBytes int) error {
	file, err := os.CreateTemp(dir, ".probe-*")
	if err != nil {
		return err
	}
	_, err = file.Write(make([]byte, sizeBytes))
	return errors.Join(err, file.Close(), os.Remove(file.Name()))
}
