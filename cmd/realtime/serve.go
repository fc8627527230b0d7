package main

import (
	"context"
	"errors"
	"log/slog"
	"os"

	"github.com/caarlos0/env/v11"
	"github.com/spf13/cobra"

	"github.com/letswriteabook/realtime/internal/cli"
	"github.com/letswriteabook/realtime/internal/config"
	"github.com/letswriteabook/realtime/internal/machine"
	"github.com/letswriteabook/realtime/internal/server"
	"github.com/letswriteabook/realtime/internal/signals"
)

func newServe() *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Run the gateway until SIGINT or SIGTERM",
		Long: `serve runs the gateway. Without NATS_URL the log is kept inside this process, in
DATA_DIR; without MONGODB_URI catch-up is served from the log; without REDIS_URL events
are published over HTTP only. The start logs each of these once.

SIGINT and SIGTERM stop it in order; a second SIGINT ends it at once. SIGHUP reads
CONFIG_FILE, the files of secrets, the catalogue and the certificate again, and applies the
settings that "realtime config" marks; it logs the changed settings and those that need a restart.`,
		Example: `  # everything in one process, events from a local Redis
  REDIS_URL=redis://localhost:6379 realtime serve

  # against a NATS cluster, with read models
  NATS_URL=nats://nats-1:4222,nats://nats-2:4222 STREAM_REPLICAS=3 \
  MONGODB_URI=mongodb://localhost:27017/novel REDIS_URL=redis://localhost:6379 realtime serve`,
		Args: cli.Arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig()
			if err != nil {
				return err
			}
			var level slog.LevelVar
			level.Set(cfg.Level())
			logger := config.NewLoggerAt(os.Stderr, cfg, &level)
			signals.Service(cmd.Context(), logger, nil)
			limitMemory(logger)
			collecting, stop := context.WithCancel(cmd.Context())
			defer stop()
			go machine.CollectIdle(collecting) // ends with its context
			gateway, err := server.Open(cmd.Context(), cfg, logger)
			if err != nil {
				return err
			}
			if cfg.FromFiles() {
				signals.Service(cmd.Context(), logger, func() {
					read, err := config.LoadAgain(env.ToMap(os.Environ()))
					if err == nil {
						err = gateway.Reload(cmd.Context(), read, level.Set)
					}
					switch {
					case errors.Is(err, server.ErrPartly):
						logger.Error("the settings are not reloaded in full", "error", err)
					case err != nil:
						logger.Error("the settings are not reloaded, and nothing is changed", "error", err)
					}
				})
			}
			return gateway.Run(cmd.Context())
		},
	}
}

// limitMemory applies the memory limit of a container to the Go runtime.
func limitMemory(logger *slog.Logger) {
	switch bytes, limited, err := machine.LimitMemory(); {
	case err != nil:
		logger.Warn("the memory limit of this container cannot be read, and the Go runtime has none: set GOMEMLIMIT", "err", err)
	case limited:
		logger.Info("memory limit of the Go runtime", "bytes", bytes)
	}
}

func loadConfig() (config.Config, error) { return config.Load(env.ToMap(os.Environ())) }
