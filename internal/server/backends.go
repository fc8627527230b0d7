package server

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/nats-io/nats.go"
	"github.com/redis/go-redis/v9"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/internal/config"
	"github.com/letswriteabook/realtime/internal/highwater"
	"github.com/letswriteabook/realtime/internal/natsserver"
	"github.com/letswriteabook/realtime/projections"
)

// The functions here open one backend each and leave its closing to the
// lifecycle. A backend that is not configured is nil.

// openLog connects to NATS, or starts it in this process, and opens the log.
func (a *App) openLog(ctx context.Context) error {
	var mark *highwater.File // nil where the log is not in this process
	a.parts.onStop("high-water mark", func(ctx context.Context) error {
		if mark == nil {
			return nil
		}
		return mark.Close(ctx)
	})
	connect, err := a.natsDialer()
	if err != nil {
		return err
	}
	open := func(use string) (*nats.Conn, error) {
		conn, err := connect(ctx)
		if err == nil {
			a.parts.onStop(use, func(context.Context) error {
				conn.Close()
				return nil
			})
		}
		return conn, err
	}
	conn, err := open("nats connection")
	if err != nil {
		return err
	}
	reads, err := open("nats connection for reading")
	if err != nil {
		return err
	}
	limits := eventstore.DefaultConfig()
	limits.Replicas = a.cfg.LogReplicas
	limits.MaxBytes = a.cfg.LogMaxBytes
	limits.MaxAge = a.cfg.LogMaxAge
	limits.DuplicateWindow = a.cfg.DedupWindow
	limits.MaxEventBytes = a.cfg.MaxEvent
	limits.Needs = a.cfg.NeedsOfNATS()
	if a.log, err = eventstore.Open(ctx, conn, limits, a.logger, a.registry); err != nil {
		return err
	}
	a.log.ReadOn(reads)
	for _, difference := range a.log.Settings().Differences(limits) {
		a.logger.Warn("the log keeps its own settings; realtime log set changes them", "difference", difference)
	}
	if a.cfg.NATSURL == "" {
		if mark, err = highwater.Open(a.cfg.DataDir); err != nil {
			return err
		}
		a.log.Keep(mark)
	}
	return nil
}

// vouch compares the log with who keeps a high-water mark of it, before anything is
// appended. Who does not answer is asked again while the application runs.
func (a *App) vouch(ctx context.Context) {
	if a.models != nil {
		a.log.Keep(mongoKeeper{a.models})
	}
	if err := a.log.Vouch(ctx); err != nil {
		a.logger.Debug("the log was not compared with every high-water mark yet", "error", err)
	}
}

// openNATS connects to NATS once.
func (a *App) openNATS(ctx context.Context) (*nats.Conn, error) {
	connect, err := a.natsDialer()
	if err != nil {
		return nil, err
	}
	return connect(ctx)
}

// natsDialer returns what opens connections to NATS, which it starts in this process
// where none is configured.
func (a *App) natsDialer() (connect func(context.Context) (*nats.Conn, error), err error) {
	if a.natsURL = a.cfg.NATSURL; a.natsURL != "" {
		return func(ctx context.Context) (*nats.Conn, error) {
			conn, err := eventstore.Connect(ctx, a.natsURL, eventstore.ConnConfig{Logger: a.logger})
			if err != nil {
				return nil, fmt.Errorf("NATS_URL: %w", err)
			}
			return conn, nil
		}, nil
	}
	a.logger.Info("NATS_URL is not set: the log is kept by JetStream inside this process", "dir", a.cfg.DataDir, "sync", a.cfg.NATSSync)
	interval, err := a.cfg.SyncInterval()
	if err != nil {
		return nil, fmt.Errorf("NATS_SYNC: %w", err)
	}
	server, err := natsserver.Start(natsserver.Config{
		StoreDir: a.cfg.DataDir, Listen: a.cfg.NATSListen,
		SyncAlways: interval == 0, SyncInterval: interval, Logger: a.logger,
	})
	if err != nil {
		return nil, fmt.Errorf("embedded JetStream in %q: %w", a.cfg.DataDir, err)
	}
	a.parts.onStop("embedded JetStream", server.Close).weight = storeWeight
	a.health.checks = append(a.health.checks, check{part: "jetstream", required: true, ask: func(context.Context) error { return server.Healthy() }})
	if a.natsURL = server.ClientURL(); a.natsURL != "" {
		a.logger.Info("embedded JetStream takes clients", "url", a.natsURL)
	}
	return func(context.Context) (*nats.Conn, error) { return server.Conn(eventstore.ConnOptions(a.logger)...) }, nil
}

// openRedis returns a client; it does not connect yet, so that a Redis that is
// down is ingest's to wait for.
func openRedis(cfg config.Config, parts *lifecycle, logger *slog.Logger) (*redis.Client, error) {
	if cfg.RedisURL == "" {
		logger.Warn("REDIS_URL is not set: events are published over HTTP only")
		return nil, nil
	}
	opts, err := redis.ParseURL(cfg.RedisURL)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", config.ErrInvalid, config.Wrong("REDIS_URL", cfg.RedisURL))
	}
	RouteDrivers(logger)
	client := redis.NewClient(opts)
	parts.onStop("redis connection", func(context.Context) error { return client.Close() })
	return client, nil
}

// openMongo returns the database named in the URI; like Redis, it may be down.
func openMongo(cfg config.Config, parts *lifecycle, logger *slog.Logger) (*mongo.Database, error) {
	if cfg.MongoDBURI == "" {
		logger.Warn("MONGODB_URI is not set: there are no read models, and catch-up is served from the log")
		return nil, nil
	}
	db, err := projections.ConnectLogged(cfg.MongoDBURI, logger)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", config.ErrInvalid, config.Wrong("MONGODB_URI", cfg.MongoDBURI))
	}
	parts.onStop("mongodb connection", db.Client().Disconnect)
	if !projections.NamesDatabase(cfg.MongoDBURI) {
		logger.Warn("MONGODB_URI names no database: MongoDB's default is used", "database", db.Name())
	}
	return db, nil
}
