package natsserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

var (
	// ErrFolderInUse is returned by [Start] when another server, in this or
	// another process, holds the data folder. A retry helps once that one ended.
	ErrFolderInUse = errors.New("data folder is in use by another server")
	// ErrStart is returned by [Start] when nats-server refused to start.
	ErrStart = errors.New("nats-server did not start")
)

// startTimeout is how long the server may take to recover its streams. Reading
// back a large log after a crash takes seconds per gigabyte.
const startTimeout = 2 * time.Minute

// maxStoreBytes lifts the server's own reservation check: a stream's limit may
// be larger than the free disk of today, and a full disk is reported as such.
const maxStoreBytes = 1 << 50

// Server is a running embedded nats-server. Its methods may be called
// concurrently.
type Server struct {
	nats *server.Server
	lock *os.File

	closeOnce sync.Once
	closed    chan struct{} // Closed once the server has ended and the folder is free.
}

// Start runs a server on the folder and returns once it takes connections.
//
// It returns [ErrFolderInUse] when the folder has another owner, [ErrStart]
// when nats-server refused, and an error that matches syscall.EADDRINUSE when
// the port is taken.
func Start(cfg Config) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("embedded nats-server: %w", err)
	}
	if err := os.MkdirAll(cfg.StoreDir, 0o750); err != nil {
		return nil, fmt.Errorf("make data folder: %w", err)
	}
	if err := probeWritable(cfg.StoreDir); err != nil {
		return nil, fmt.Errorf("data folder %s cannot be written: %w", cfg.StoreDir, err)
	}
	lock, err := lockFolder(cfg.StoreDir)
	if err != nil {
		return nil, err
	}
	instance, err := run(cfg)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return &Server{nats: instance, lock: lock, closed: make(chan struct{})}, nil
}

// Conn opens a connection inside this process, without a port.
func (s *Server) Conn(opts ...nats.Option) (*nats.Conn, error) {
	conn, err := nats.Connect("", append([]nats.Option{nats.InProcessServer(s.nats)}, opts...)...)
	if err != nil {
		return nil, fmt.Errorf("connect to the embedded nats-server: %w", err)
	}
	return conn, nil
}

// ClientURL returns the address for NATS clients, or nothing when the server
// does not listen.
func (s *Server) ClientURL() string {
	if s.nats.Addr() == nil {
		return ""
	}
	return s.nats.ClientURL()
}

// Close ends the server and gives the folder back. It waits for the files to be
// written out, or for ctx; in the latter case the server goes on ending. It may
// be called again.
func (s *Server) Close(ctx context.Context) error {
	s.closeOnce.Do(func() {
		// Ends by itself: WaitForShutdown returns once Shutdown has.
		go func() {
			defer close(s.closed)
			s.nats.Shutdown()
			s.nats.WaitForShutdown()
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

// run starts nats-server and waits until it is ready.
func run(cfg Config) (*server.Server, error) {
	opts, err := options(cfg)
	if err != nil {
		return nil, err
	}
	instance, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStart, err)
	}
	logger := cfg.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	sink := &serverLog{logger: logger}
	instance.SetLoggerV2(sink, false, false, false)

	instance.Start()
	ready := sink.failure() == "" && instance.ReadyForConnections(startTimeout)
	failure := sink.failure()
	if ready && failure == "" {
		return instance, nil
	}
	instance.Shutdown()
	instance.WaitForShutdown()
	if failure == "" {
		failure = fmt.Sprintf("not ready after %s", startTimeout)
	}
	return nil, fmt.Errorf("%w: %s", ErrStart, failure)
}

// options translates the config.
func options(cfg Config) (*server.Options, error) {
	opts := &server.Options{
		ServerName:        cfg.ServerName,
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
		opts.SyncInterval = DefaultSyncInterval
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
	// nats-server reports a taken port only as a line in its log, so the port
	// is tried first. A stranger may still take it between the two; then the
	// caller gets that line.
	listener, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen for NATS clients: %w", err)
	}
	return opts, listener.Close()
}

// probeWritable makes and removes a file: permissions and read-only mounts show
// in no other portable way.
func probeWritable(dir string) error {
	file, err := os.CreateTemp(dir, ".probe-*")
	if err != nil {
		return err
	}
	return errors.Join(file.Close(), os.Remove(file.Name()))
}
