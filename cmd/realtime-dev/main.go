package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/letswriteabook/realtime/internal/config"
	"github.com/letswriteabook/realtime/internal/signals"
)

func main() {
	ctx, stop := signals.Handle(context.Background(), os.Stderr)
	defer stop()
	os.Exit(run(ctx, os.Args[1:]))
}

func run(ctx context.Context, args []string) int {
	command := newCommand()
	command.SetArgs(args)
	err := command.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, "realtime-dev:", err)
	if errors.Is(err, config.ErrInvalid) || errors.As(err, new(usageError)) {
		return 2
	}
	return 1
}

// usageError is an error about how the command was called.
type usageError struct{ error }

// Default addresses of the stack.
const (
	defaultPort  = 3001
	defaultRedis = "127.0.0.1:6379"
	defaultMongo = "127.0.0.1:27017"
	defaultNATS  = "127.0.0.1:4222"
	defaultPage  = "web/demo/dist"
)

// options are the flags.
type options struct {
	port               int
	redis, mongo, nats string
	dataDir            string
	page               string
	sample             bool
}

func newCommand() *cobra.Command {
	var opts options
	command := &cobra.Command{
		Use:   "realtime-dev",
		Short: "The realtime service and everything it needs, in one process",
		Long: `realtime-dev starts the gateway, JetStream on disk, a Redis-protocol server and a
MongoDB-protocol server in one process, prints their addresses, and publishes the events
of sample jobs. If a default port is in use, a free one takes its place; a port given by a
flag that is in use is an error. SOCKET_* and the other settings of "realtime serve" apply.`,
		Example: `  go run ./cmd/realtime-dev
  realtime-dev --port 4001 --data-dir ./data --sample=false`,
		Args: func(cmd *cobra.Command, args []string) error {
			if err := cobra.NoArgs(cmd, args); err != nil {
				return usageError{err}
			}
			return nil
		},
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return serve(cmd.Context(), opts, cmd.Flags().Changed, cmd.OutOrStdout())
		},
	}
	command.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	flags := command.Flags()
	flags.IntVar(&opts.port, "port", defaultPort, "HTTP port of the gateway; PORT applies when the flag is not given")
	flags.StringVar(&opts.redis, "redis-addr", defaultRedis, "address of the Redis-protocol server")
	flags.StringVar(&opts.mongo, "mongo-addr", defaultMongo, "address of the MongoDB-protocol server")
	flags.StringVar(&opts.nats, "nats-addr", defaultNATS, "address of the NATS server")
	flags.StringVar(&opts.dataDir, "data-dir", "", "folder of the log and the read models (default: a temporary one, removed at the end)")
	flags.StringVar(&opts.page, "page", defaultPage, "folder of the built job page; without one, / is the page that needs no build")
	flags.BoolVar(&opts.sample, "sample", true, "publish the events of sample jobs")
	command.AddCommand(newMongoCommand())
	return command
}
