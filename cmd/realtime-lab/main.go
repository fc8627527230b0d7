// Command realtime-lab loads systems and hurts them, and proves what they lost: load
// tests of a deployment, recovery drills, the fault matrix, baselines, and benchmarks.
//
// It exits with 0 when everything held, 1 when something failed, 2 when it was called
// wrongly or cannot run here, and 3 when a drill failed or a comparison found something
// worse.
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
)

func main() {
	ctx, stop := signals.Handle(context.Background(), os.Stderr)
	defer stop()
	os.Exit(run(ctx, os.Args[1:]))
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "realtime-lab",
		Short:         "Load and hurt systems of realtime, and prove what they lost",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cli.Arguments(cobra.NoArgs),
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return cli.Usage(err) })
	root.AddCommand(newLoadtest(), newDrill(), newFaults(), newBaseline(), newBench(), newAttack())
	return root
}

func run(ctx context.Context, args []string) int {
	root := newRoot()
	root.SetArgs(args)
	stdout, stderr := cli.NewVisible(os.Stdout), cli.NewVisible(os.Stderr)
	root.SetOut(stdout)
	root.SetErr(stderr)
	backends.RouteDrivers(slog.New(slog.DiscardHandler))
	err := root.ExecuteContext(ctx)
	stdout.End()
	if err == nil {
		return 0
	}
	fmt.Fprintln(stderr, "realtime-lab:", err)
	switch {
	case errors.Is(err, config.ErrInvalid), cli.IsUsage(err):
		return 2
	case cli.IsDiffers(err):
		return 3
	}
	return 1
}
