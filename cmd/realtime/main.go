package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/letswriteabook/realtime/internal/app"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:]))
}

// errUsage marks errors about how the command was called.
var errUsage = errors.New("usage")

func run(ctx context.Context, args []string) int {
	root := newRoot()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, app.ErrConfig), errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, "realtime:", err)
		return 2
	default:
		fmt.Fprintln(os.Stderr, "realtime:", err)
		return 1
	}
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "realtime",
		Short: "An event-sourced realtime service on NATS JetStream",
		Long: `realtime takes the events that workers publish through Redis, keeps every one in a
durable log, and delivers them to browsers: live, and from any point after a break.

Settings are environment variables; "realtime config" lists them.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return fmt.Errorf("%w: %w", errUsage, err) })
	root.AddCommand(newServe(), newPublish(), newTail(), newConfig())
	return root
}
