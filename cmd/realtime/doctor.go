package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/letswriteabook/realtime/internal/cli"
	"github.com/letswriteabook/realtime/operations/examine"
)

func newDoctor() *cobra.Command {
	var output string
	var strict, deep bool
	command := &cobra.Command{
		Use:   "doctor",
		Short: "Check settings, servers, streams, clocks, disk and limits, and recommend changes",
		Long: `doctor checks an installation from this machine, with the settings of a gateway, and
changes nothing: the settings; whether Redis, MongoDB and NATS answer, their versions and
their clocks; the log's streams against what is recommended and what the settings ask for;
the disk of DATA_DIR and the number of open files. Each line is ok, warn, fail or skip (it
could not be checked, or does not apply), with what was found and what to do. Without
NATS_URL it opens the log in DATA_DIR, if no gateway runs on it, for as long as it looks.

With --deep it also reads every record of the log's streams, compares their number with what
the stream says that it has, and names those that cannot be read, as after damage on disk.
That takes as long as the disk needs for the whole log.

It exits with 0 when nothing fails, warnings or not, 2 for wrong usage, 3 when something
fails; with --strict also when there is a warning.`,
		Example: `  realtime doctor
  realtime doctor --deep
  NATS_URL=nats://nats-1:4222 REDIS_URL=redis://redis:6379 realtime doctor --strict -o json`,
		Args: cli.Arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cli.CheckOutput(output); err != nil {
				return err
			}
			cfg, invalid := loadConfig()
			var reading func(step string, done, total uint64)
			if shown := cli.NewProgress(); deep {
				reading = shown.Report
				defer shown.End()
			}
			report := examine.Installation(cmd.Context(), cfg, invalid, reading)
			err := cli.Render(cmd.OutOrStdout(), output, report, func(w io.Writer) {
				fmt.Fprintln(w, "LEVEL\tAREA\tCHECK\tFOUND\tDO")
				for _, c := range report.Checks {
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", c.Level, c.Area, c.Name, c.Found, c.Do)
				}
			})
			switch {
			case err != nil:
				return err
			case report.Fail > 0:
				return cli.Differs(fmt.Errorf("%d %w, %d warn", report.Fail, errFails, report.Warn))
			case strict && report.Warn > 0:
				return cli.Differs(fmt.Errorf("%d %w", report.Warn, errWarns))
			}
			return nil
		},
	}
	command.Flags().BoolVar(&strict, "strict", false, "exit with 3 on warnings too")
	command.Flags().BoolVar(&deep, "deep", false, "read every record of the log")
	cli.OutputFlag(command, &output)
	return command
}

var (
	errFails = errors.New("checks fail")
	errWarns = errors.New("checks warn")
)
