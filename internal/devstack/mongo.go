package devstack

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync"

	"github.com/FerretDB/FerretDB/ferretdb"
)

// Database is the database that [Mongo.URI] names.
const Database = "realtime"

// MongoConfig is the configuration of a [Mongo].
type MongoConfig struct {
	// Addr is a TCP address; port 0 takes a free one.
	Addr string
	// Dir holds the SQLite files, one for each database. It is created if absent, and
	// belongs to one server at a time.
	Dir string
	// Logger receives the errors of the server; nil discards them. Lower levels are dropped,
	// because FerretDB logs every connection.
	Logger *slog.Logger
}

// Validate returns an error that names the first invalid field.
func (c MongoConfig) Validate() error {
	switch {
	case c.Addr == "":
		return errors.New("devstack: MongoConfig.Addr is empty")
	case c.Dir == "":
		return errors.New("devstack: MongoConfig.Dir is empty")
	}
	return nil
}

// Mongo is a MongoDB-protocol server: FerretDB on SQLite. It is safe for
// concurrent use.
type Mongo struct {
	uri    string
	cancel context.CancelFunc
	done   chan struct{} // closed when the server has ended
}

// starting serializes [ferretdb.New], which writes a variable of its package.
var starting sync.Mutex

// StartMongo starts a server that runs until [Mongo.Close]; ctx bounds the start
// only. An address that is taken gives an error that matches
// [syscall.EADDRINUSE]: another port may be free.
func StartMongo(ctx context.Context, cfg MongoConfig) (*Mongo, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("start the MongoDB-protocol server: %w", err)
	}
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("resolve the folder %q: %w", cfg.Dir, err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the folder of the MongoDB-protocol server: %w", err)
	}
	// FerretDB opens its files before it listens, does not close them if it cannot listen,
	// and hides the cause. Therefore the address is checked first.
	if err := claim(cfg.Addr); err != nil {
		return nil, err
	}
	server, err := newFerret(cfg, dir)
	if err != nil {
		// Another process may have taken the port.
		return nil, errors.Join(fmt.Errorf("start FerretDB: %w", err), claim(cfg.Addr))
	}

	uri, err := url.Parse(server.MongoDBURI())
	if err != nil {
		return nil, fmt.Errorf("read the address of FerretDB: %w", err)
	}
	uri.Path = "/" + Database
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	m := &Mongo{uri: uri.String(), cancel: cancel, done: make(chan struct{})}
	go func() { // stopped by Close
		defer close(m.done)
		_ = server.Run(run) // always nil
	}()
	return m, nil
}

// URI returns the connection string, with the database [Database].
func (m *Mongo) URI() string { return m.uri }

// Close stops the server and waits until it has, or until ctx ends. Clients
// that are still connected get three seconds to leave: disconnect them first.
// Closing again is harmless.
func (m *Mongo) Close(ctx context.Context) error {
	m.cancel()
	select {
	case <-m.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop the MongoDB-protocol server: %w", context.Cause(ctx))
	}
}

func newFerret(cfg MongoConfig, dir string) (*ferretdb.FerretDB, error) {
	starting.Lock()
	defer starting.Unlock()
	return ferretdb.New(&ferretdb.Config{
		Listener:  ferretdb.ListenerConfig{TCP: cfg.Addr},
		Logger:    slog.New(errorsOnly{orDiscard(cfg.Logger).Handler()}),
		Handler:   "sqlite",
		SQLiteURL: (&url.URL{Scheme: "file", Path: filepath.ToSlash(dir) + "/"}).String(),
	})
}

func orDiscard(logger *slog.Logger) *slog.Logger {
	if logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return logger
}

// errorsOnly drops every record below the level of errors.
type errorsOnly struct{ slog.Handler }

// Enabled implements [slog.Handler].
func (h errorsOnly) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelError && h.Handler.Enabled(ctx, level)
}

// WithAttrs implements [slog.Handler].
func (h errorsOnly) WithAttrs(attrs []slog.Attr) slog.Handler {
	return errorsOnly{h.Handler.WithAttrs(attrs)}
}

// WithGroup implements [slog.Handler].
func (h errorsOnly) WithGroup(name string) slog.Handler { return errorsOnly{h.Handler.WithGroup(name)} }
