package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/letswriteabook/realtime/internal/cli"
	"github.com/letswriteabook/realtime/internal/client"
	"github.com/letswriteabook/realtime/internal/config"
)

func newPublish() *cobra.Command {
	var timeout time.Duration
	command := &cobra.Command{
		Use:   "publish [ENVELOPE]",
		Short: "Publish events through Redis and wait until they are in the log",
		Long: `publish sends one envelope, given as the argument, or one a line from standard input,
on the Redis channel that workers use, and prints each receipt as a line of JSON. An
envelope without an id is given one, so that it can be confirmed and is stored once.

A line that is not a valid envelope is reported with its number; the others are sent.
The exit code is then 1.`,
		Example: `  realtime publish '{"kind":"job-status","jobId":"job-42","status":"running"}'
  realtime publish < events.ndjson`,
		Args: cli.Arguments(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := loadConfig()
			if err != nil {
				return err
			}
			if cfg.RedisURL == "" {
				return fmt.Errorf("%w: REDIS_URL is not set: events are published through Redis", config.ErrInvalid)
			}
			catalogue, err := config.LoadCatalogue(cfg)
			if err != nil {
				return err
			}
			input := cmd.InOrStdin()
			if len(args) == 1 {
				input = strings.NewReader(args[0])
			}
			batch := client.Batch{Redis: cfg.Redis(), Catalogue: catalogue, MaxEventBytes: cfg.MaxEvent, ReceiptSecret: cfg.ReceiptSecret, Timeout: timeout}
			return client.PublishLines(cmd.Context(), batch, input, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	command.Flags().DurationVar(&timeout, "timeout", 10*time.Second, "how long to wait for each receipt")
	return command
}
