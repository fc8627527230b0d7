package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/letswriteabook/realtime/internal/backends"
	"github.com/letswriteabook/realtime/internal/cli"
	"github.com/letswriteabook/realtime/internal/config"
	"github.com/letswriteabook/realtime/internal/signals"
	"github.com/letswriteabook/realtime/operations"
)

func main() {
	ctx, stop := signals.Handle(context.Background(), os.Stderr)
	defer stop()
	os.Exit(run(ctx, os.Args[1:]))
}

// movedError names the program that now has a command.
type movedError struct{ command string }

func (e movedError) Error() string {
	return fmt.Sprintf("the command has moved: run realtime-lab %s", e.command)
}

// newMoved returns a command that prints where it has moved, whatever its arguments.
func newMoved(name string) *cobra.Command {
	return &cobra.Command{
		Use: name, Hidden: true, DisableFlagParsing: true,
		Short: "Moved to realtime-lab " + name,
		RunE:  func(*cobra.Command, []string) error { return movedError{name} },
	}
}

func run(ctx context.Context, args []string) int {
	root := newRoot()
	root.SetArgs(args)
	// The output contains strings of producers and clients.
	stdout, stderr := cli.NewVisible(os.Stdout), cli.NewVisible(os.Stderr)
	root.SetOut(stdout)
	root.SetErr(stderr)
	backends.RouteDrivers(slog.New(slog.DiscardHandler)) // serve routes them to its own log
	err := root.ExecuteContext(ctx)
	stdout.End()
	if err == nil {
		return 0
	}
	fmt.Fprintln(stderr, "realtime:", err)
	if errors.Is(err, config.ErrInvalid) || cli.IsUsage(err) || errors.As(err, new(movedError)) {
		return 2
	}
	if cli.IsDiffers(err) || operations.IsNothing(err) {
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
		Args:          cli.Arguments(cobra.NoArgs),
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return cli.Usage(err) })
	root.AddCommand(newLog())
	root.AddCommand(
		newServe(), newPublish(), newTail(), newConfig(), newProjections(), newBackup(), newDeadLetter(), newReplay(), newRestore(),
		newErase(), newAudit(), newOperations(), newDoctor(), newCheck(), newHealth(), newVersion(), newMan(), newMoved("loadtest"), newMoved("drill"),
	)
	return root
}
