package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/letswriteabook/realtime/internal/cli"
	"github.com/letswriteabook/realtime/lab/baseline"
	"github.com/letswriteabook/realtime/lab/load"
)

func newBaseline() *cobra.Command {
	var configurations, budgets, out string
	var smoke bool
	command := &cobra.Command{
		Use:   "baseline",
		Short: "Load deployments of real processes on this machine, and report",
		Long: `baseline builds the programs, starts gateways, NATS servers and a redis-server on
loopback, and runs the load-test scenarios against each configuration: embedded (the log
inside), interval (the same, written to disk every 10 s), external (one NATS server) and
cluster (three gateways, three NATS servers). It takes some six minutes; --smoke runs a
shorter selection against the first in less than two.`,
		Example: `  realtime-lab baseline --out docs/qa/load-test-reports/2026-03-01
  realtime-lab baseline --smoke --budgets lab/load/budgets.json`,
		Args: cli.Arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if smoke && !cmd.Flags().Changed("configurations") {
				configurations = "embedded"
			}
			chosen, err := baseline.Choose(configurations)
			if err != nil {
				return cli.Usage(err)
			}
			o := baseline.Options{Configurations: chosen, Smoke: smoke, Dir: out, Log: func(line string) { fmt.Println(line) }}
			if budgets != "" {
				if o.Budgets, err = load.LoadBudgets(budgets); err != nil {
					return cli.Usage(err)
				}
			}
			return baseline.Run(cmd.Context(), o)
		},
	}
	flags := command.Flags()
	flags.StringVar(&configurations, "configurations", "embedded,interval,external,cluster", "those to load, separated by commas")
	flags.StringVar(&budgets, "budgets", "", "JSON file with upper bounds of figures, {scenario or stage: {figure: number}}")
	flags.StringVar(&out, "out", "", "folder for the reports; empty: none are written")
	flags.BoolVar(&smoke, "smoke", false, "run the short selection of the continuous integration")
	return command
}
