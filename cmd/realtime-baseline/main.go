// Command realtime-baseline loads throw-away deployments of real processes on this
// machine and leaves reports: the smoke test of the continuous integration, and the
// baselines under docs/qa/load-test-reports.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/letswriteabook/realtime/internal/signals"
	"github.com/letswriteabook/realtime/lab/baseline"
	"github.com/letswriteabook/realtime/lab/load"
)

// usageError is an error about how the command was called.
type usageError struct{ error }

func main() {
	ctx, stop := signals.Handle(context.Background(), os.Stderr)
	defer stop()
	err := newCommand().ExecuteContext(ctx)
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "realtime-baseline:", err)
	if errors.As(err, new(usageError)) {
		os.Exit(2)
	}
	os.Exit(1)
}

func newCommand() *cobra.Command {
	var configurations, budgets, out string
	var smoke bool
	command := &cobra.Command{
		Use:   "realtime-baseline",
		Short: "Load deployments of real processes on this machine, and report",
		Long: `realtime-baseline builds the programs, starts gateways, NATS servers and a redis-server on
loopback, and runs the load-test scenarios against each configuration: embedded (the log
inside), interval (the same, written to disk every 10 s), external (one NATS server) and
cluster (three gateways, three NATS servers). It takes some six minutes; --smoke runs a
shorter selection against the first in less than two.`,
		Example: `  realtime-baseline --out docs/qa/load-test-reports/2026-03-01
  realtime-baseline --smoke --budgets lab/load/budgets.json`,
		SilenceUsage: true, SilenceErrors: true,
		Args: func(cmd *cobra.Command, args []string) error {
			if err := cobra.NoArgs(cmd, args); err != nil {
				return usageError{err}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if smoke && !cmd.Flags().Changed("configurations") {
				configurations = "embedded"
			}
			chosen, err := baseline.Choose(configurations)
			if err != nil {
				return usageError{err}
			}
			o := baseline.Options{Configurations: chosen, Smoke: smoke, Dir: out, Log: func(line string) { fmt.Println(line) }}
			if budgets != "" {
				if o.Budgets, err = load.LoadBudgets(budgets); err != nil {
					return usageError{err}
				}
			}
			return baseline.Run(cmd.Context(), o)
		},
	}
	command.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	flags := command.Flags()
	flags.StringVar(&configurations, "configurations", "embedded,interval,external,cluster", "those to load, separated by commas")
	flags.StringVar(&budgets, "budgets", "", "JSON file with upper bounds of figures, {scenario or stage: {figure: number}}")
	flags.StringVar(&out, "out", "", "folder for the reports; empty: none are written")
	flags.BoolVar(&smoke, "smoke", false, "run the short selection of the continuous integration")
	return command
}
