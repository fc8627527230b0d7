package backends

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/nats-io/nats.go"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/internal/config"
	"github.com/letswriteabook/realtime/internal/natsserver"
)

// NATS is a connection to the servers of NATS_URL or, where that is empty, to
// JetStream inside this process. Its methods may be called concurrently.
type NATS struct {
	cfg      config.Config
	url      string
	conn     *nats.Conn
	embedded *natsserver.Server // nil with NATS_URL
	logger   *slog.Logger
}

// OpenNATS connects to NATS. Without NATS_URL it first starts JetStream on DATA_DIR;
// it returns [natsserver.ErrFolderInUse] when another process runs there.
func OpenNATS(ctx context.Context, cfg config.Config, logger *slog.Logger) (*NATS, error) {
	n := &NATS{cfg: cfg, url: cfg.NATSURL, logger: logger}
	if n.url == "" {
		if err := n.start(cfg); err != nil {
			return nil, err
		}
	}
	var err error
	if n.conn, err = n.Connect(ctx); err != nil {
		return nil, errors.Join(err, n.Stop(ctx))
	}
	return n, nil
}

// start starts the embedded server.
func (n *NATS) start(cfg config.Config) error {
	n.logger.Info("NATS_URL is not set: the log is kept by JetStream inside this process", "dir", cfg.DataDir, "sync", cfg.NATSSync)
	interval, err := cfg.SyncInterval()
	if err != nil {
		return fmt.Errorf("NATS_SYNC: %w", err)
	}
	cluster, users, err := cfg.Embedded()
	if err != nil {
		return err
	}
	n.embedded, err = natsserver.Start(natsserver.Config{
		Cluster: cluster, Users: users,
		StoreDir: cfg.DataDir, Listen: cfg.NATSListen,
		SyncAlways: interval == 0, SyncInterval: interval, Logger: n.logger,
	})
	if err != nil {
		return fmt.Errorf("embedded JetStream in %q: %w", cfg.DataDir, err)
	}
	if n.url = n.embedded.ClientURL(); n.url != "" {
		n.logger.Info("embedded JetStream accepts clients", "url", n.url)
	}
	return nil
}

// Conn returns the connection that [OpenNATS] opened.
func (n *NATS) Conn() *nats.Conn { return n.conn }

// Connect opens another connection, which the caller closes.
func (n *NATS) Connect(ctx context.Context) (*nats.Conn, error) {
	if n.embedded != nil {
		return n.embedded.Conn(eventstore.ConnOptions(n.logger)...)
	}
	options, err := natsOptions(n.cfg)
	if err != nil {
		return nil, err
	}
	conn, err := eventstore.Connect(ctx, n.url, eventstore.ConnConfig{Logger: n.logger, Options: options})
	if err != nil {
		return nil, fmt.Errorf("NATS_URL: %w", err)
	}
	return conn, nil
}

// URL returns where NATS clients reach the servers; empty for an embedded one that does
// not listen.
func (n *NATS) URL() string { return n.url }

// Domain returns the JetStream domain of the log; empty for that of the server.
func (n *NATS) Domain() string {
	if n.embedded != nil {
		return ""
	}
	return n.cfg.NATSDomain
}

// Embedded reports whether JetStream runs inside this process.
func (n *NATS) Embedded() bool { return n.embedded != nil }

// Healthy returns what is wrong with the embedded server; nil where there is none.
func (n *NATS) Healthy() error {
	if n.embedded == nil {
		return nil
	}
	return n.embedded.Healthy()
}

// Stop stops the embedded server, if there is one. Connections are closed before.
func (n *NATS) Stop(ctx context.Context) error {
	if n.embedded == nil {
		return nil
	}
	return n.embedded.Close(ctx)
}

// Close closes the connection of [OpenNATS] and stops the embedded server.
func (n *NATS) Close(ctx context.Context) error {
	n.conn.Close()
	return n.Stop(ctx)
}
