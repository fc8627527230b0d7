package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/letswriteabook/realtime/internal/server"
	"github.com/letswriteabook/realtime/internal/signals"
)

func main() {
	ctx, stop := signals.Handle(context.Background(), os.Stderr)
	defer stop()
	os.Exit(run(ctx, os.Args[1:]))
}

// usageError is an error about how the command was called.
type usageError struct{ error }

func (e usageError) Error() string { return e.error.Error() + " (see --help)" }

// arguments marks what a check of the arguments finds as an error of usage.
func arguments(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usageError{err}
		}
		return nil
	}
}

func run(ctx context.Context, args []string) int {
	root := newRoot()
	root.SetArgs(args)
	// What the commands print has strings of producers and clients in it.
	stdout, stderr := &visible{to: os.Stdout}, &visible{to: os.Stderr}
	root.SetOut(stdout)
	root.SetErr(stderr)
	server.RouteDrivers(slog.New(slog.DiscardHandler)) // serve routes them to its own log
	err := root.ExecuteContext(ctx)
	stdout.end()
	if err == nil {
		return 0
	}
	fmt.Fprintln(stderr, "realtime:", err)
	if errors.Is(err, server.ErrConfig) || errors.As(err, new(usageError)) {
		return 2
	}
	if errors.As(err, new(differsError)) || server.NothingMatches(err) {
		return 3
	}
	return 1
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
		Args:          arguments(cobra.NoArgs),
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(newLog())
	root.AddCommand(
		newServe(), newPublish(), newTail(), newConfig(), newProjections(), newBackup(), newDeadLetter(), newReplay(), newRestore(),
		newErase(), newAudit(), newOperations(), newDoctor(), newCheck(), newHealth(), newVersion(), newLoadtest(), newDrill(),
	)
	return root
}
