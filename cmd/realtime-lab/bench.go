package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/letswriteabook/realtime/internal/cli"
	"github.com/letswriteabook/realtime/lab/bench"
	"github.com/letswriteabook/realtime/lab/processes"
)

func newBench() *cobra.Command {
	var chosen, output string
	command := &cobra.Command{
		Use:   "bench",
		Short: "Measure a gateway beside what the machine itself can do",
		Long: `bench builds the service, starts a redis-server and a gateway with its log inside on
loopback, and measures storing, delivering, catching up and idling. In the same run it
measures plain writes with a sync, and a bare loop of writes to sockets: compare the ratios,
since times depend on the machine. It takes about two minutes without the rows that end
with -jobs, which run only when they are named. Rows that end with the name of another
server compare it with the gateway in the same run, and are skipped if it is not installed:
centrifugo on PATH, or node with the package socket.io in NODE_PATH. The rows are
` + strings.Join(bench.Names(), ", ") + `.`,
		Example: `  realtime-lab bench
  realtime-lab bench --rows paced,burst -o json
  realtime-lab bench --rows 1k-jobs,100k-jobs,1m-jobs,100k-followed-jobs`,
		Args: cli.Arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if err := cli.CheckOutput(output); err != nil {
				return err
			}
			dir, err := os.MkdirTemp("", "realtime-lab-bench-")
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
			programs, err := processes.Build(cmd.Context(), ".", filepath.Join(dir, "bin"))
			if err != nil {
				return err
			}
			o := bench.Options{
				Programs: programs, Dir: dir,
				Log:     func(r bench.Row) { fmt.Fprintln(os.Stderr, r.Name, r.Sync) },
				Skipped: func(name string, why error) { fmt.Fprintf(os.Stderr, "%s is skipped: %v\n", name, why) },
			}
			if chosen != "" {
				o.Rows = strings.Split(chosen, ",")
			}
			report, err := bench.Run(cmd.Context(), o)
			if err != nil {
				return err
			}
			if output == "json" {
				return cli.Render(cmd.OutOrStdout(), output, report, nil)
			}
			return report.Table(cmd.OutOrStdout())
		},
	}
	cli.OutputFlag(command, &output)
	command.Flags().StringVar(&chosen, "rows", "", "rows to measure, separated by commas; empty: all but those that end with -jobs")
	return command
}
