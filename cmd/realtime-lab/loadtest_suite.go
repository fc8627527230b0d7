package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/letswriteabook/realtime/internal/cli"
	"github.com/letswriteabook/realtime/lab/load"
	"github.com/letswriteabook/realtime/lab/load/metrics"
	"github.com/letswriteabook/realtime/lab/load/report"
	"github.com/letswriteabook/realtime/lab/load/scenario"
	"github.com/letswriteabook/realtime/lab/load/suite"
)

func newSuite() *cobra.Command {
	var target targetFlags
	var options optionFlags
	var output, label, budgets string
	var repeat int
	var noSkips, asJSON bool
	command := &cobra.Command{
		Use:   "suite [SCENARIO…]",
		Short: "Run several scenarios, or all, and leave a folder of results",
		Long: `suite runs the scenarios that are named, those of the file's "scenarios", or all. The
folder has the metrics page before, after each scenario and after all, the result of each,
suite-summary.json, and a report as Markdown and as one HTML page.

It exits with 1 when a scenario failed, and with --no-skips also when one was skipped, so
that a missing limit or server is not mistaken for a success.`,
		Example: `  realtime-lab loadtest suite --config loadtest.json --output out --label nightly
  realtime-lab loadtest suite broadcast-burst catch-up-burst --repeat 5 --output out`,
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := target.config(cmd)
			if err != nil {
				return err
			}
			chosen, err := chooseScenarios(args, cfg.Scenarios)
			if err != nil {
				return err
			}
			limits := load.Budgets{}
			if budgets != "" {
				if limits, err = load.LoadBudgets(budgets); err != nil {
					return cli.Usage(err)
				}
			}
			shown := cli.NewProgress()
			o := suite.Options{
				Label: label, Dir: output, Scenarios: chosen, Repeat: repeat, NoSkips: noSkips, Budgets: limits,
				Env: environment(cfg, shown, label), Flags: options.changed(cmd),
				Done: func(r load.Result) {
					shown.End()
					fmt.Fprintf(cmd.ErrOrStderr(), "%-8s %-18s %8s  %s\n", r.Status, r.Scenario, duration(r.DurationMs), r.Reason)
				},
			}
			if err := o.Validate(); err != nil {
				return cli.Usage(err)
			}
			summary, results, err := suite.Run(cmd.Context(), o)
			shown.End()
			if err != nil && !errors.Is(err, suite.ErrFailed) {
				return err
			}
			written := report.Write(output, summary, results)
			if asJSON {
				written = errors.Join(written, cli.Render(cmd.OutOrStdout(), "json", summary, nil))
			}
			return errors.Join(err, written)
		},
	}
	target.add(command)
	options.add(command, nil)
	flags := command.Flags()
	flags.StringVar(&output, "output", "loadtest-report", "folder of the files")
	flags.StringVar(&label, "label", "run", "name of the run, which begins the names of the metrics pages")
	flags.StringVar(&budgets, "budgets", "", "JSON file with upper bounds of figures, {scenario: {figure: number}}")
	flags.IntVar(&repeat, "repeat", 1, "how often each scenario runs; the figures are medians then, and the worst of recoveries and losses")
	flags.BoolVar(&noSkips, "no-skips", false, "a scenario that is skipped fails")
	flags.BoolVar(&asJSON, "json", false, "print the summary as JSON")
	return command
}

func duration(ms float64) string {
	return time.Duration(ms * float64(time.Millisecond)).Round(10 * time.Millisecond).String()
}

// chooseScenarios returns the scenarios that were named, or else those of the file, or else
// all.
func chooseScenarios(names, file []string) ([]scenario.Scenario, error) {
	if len(names) == 0 {
		names = file
	}
	if len(names) == 0 {
		return scenario.All(), nil
	}
	var chosen []scenario.Scenario
	for _, name := range names {
		s, known := scenario.Find(name)
		if !known {
			return nil, cli.Usage(fmt.Errorf("there is no scenario %q: there are %q", name, scenario.Names()))
		}
		chosen = append(chosen, s)
	}
	return chosen, nil
}

func newCompareMetrics() *cobra.Command {
	var all, asJSON bool
	var baseline, target, output string
	command := &cobra.Command{
		Use:   "compare-metrics BASE TARGET",
		Short: "Show what differs between two metrics pages that a suite kept",
		Args:  cli.Arguments(cobra.MaximumNArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			pages := append([]string{}, args...)
			for _, page := range []string{baseline, target} {
				if page != "" {
					pages = append(pages, page)
				}
			}
			if len(pages) != 2 {
				return cli.Usage(fmt.Errorf("%d metrics pages: want two, as BASE TARGET or --baseline BASE --target TARGET", len(pages)))
			}
			before, err := metrics.Load(pages[0])
			if err != nil {
				return err
			}
			after, err := metrics.Load(pages[1])
			if err != nil {
				return err
			}
			differences := metrics.Compare(before, after, all)
			if output != "" {
				err = writeFile(output, func(w io.Writer) error { return cli.Render(w, "json", differences, nil) })
			}
			if asJSON {
				return errors.Join(err, cli.Render(cmd.OutOrStdout(), "json", differences, nil))
			}
			return errors.Join(err, metrics.Print(cmd.OutOrStdout(), differences))
		},
	}
	flags := command.Flags()
	flags.BoolVar(&all, "all", false, "show what is the same, too")
	flags.BoolVar(&asJSON, "json", false, "print JSON")
	flags.StringVar(&baseline, "baseline", "", "the page to compare with, in place of BASE")
	flags.StringVar(&target, "target", "", "the page that is compared, in place of TARGET")
	flags.StringVar(&output, "output", "", "file that also gets the differences as JSON")
	return command
}

// writeFile creates or replaces a file with the output of write.
func writeFile(path string, write func(io.Writer) error) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(write(file), file.Close())
}

func newCompareRuns() *cobra.Command {
	var tolerance float64
	var asJSON bool
	command := &cobra.Command{
		Use:   "compare-runs BASE TARGET",
		Short: "Compare the figures of two report folders, and name what got worse beyond the noise",
		Long: `compare-runs compares the figures of two folders that suites have left. A figure is worse
when it exceeds the base by more than the tolerance, more than the spread of the
repetitions (suite --repeat), and more than what a clock can show. A scenario that passed before and
fails now also counts as worse.

It exits with 3 when something got worse.`,
		Args: cli.Arguments(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			comparison, err := suite.CompareRuns(args[0], args[1], tolerance)
			if err != nil {
				return err
			}
			output := "table"
			if asJSON {
				output = "json"
			}
			err = cli.Render(cmd.OutOrStdout(), output, comparison, func(w io.Writer) { comparison.Table(w) })
			if err == nil && comparison.Regressions > 0 {
				err = cli.Differs(fmt.Errorf("%d regressions", comparison.Regressions))
			}
			return err
		},
	}
	command.Flags().Float64Var(&tolerance, "tolerance", 0.25, "share by which a figure may be worse")
	command.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return command
}
