package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/letswriteabook/realtime/internal/cli"
	"github.com/letswriteabook/realtime/lab/faults"
	"github.com/letswriteabook/realtime/lab/processes"
	"github.com/letswriteabook/realtime/lab/report"
)

// errFailed is returned when a row failed.
var errFailed = errors.New("the fault run failed")

// faultFlags are the flags of a fault run.
type faultFlags struct {
	rows     string
	out      string
	ci, full bool
	keep     bool
}

func newFaults() *cobra.Command {
	var opts faultFlags
	command := &cobra.Command{
		Use:   "faults",
		Short: "Hurt a system of real processes, and judge what it lost",
		Long: `faults runs the rows of the fault matrix one after the other, each on a system of
its own on loopback, and prints what was lost, duplicated, reordered and made up, and how
long the recovery took. It builds the programs itself and needs redis-server.`,
		Example: `  realtime-lab faults
  realtime-lab faults --rows 1,8 --full --out report`,
		Args: cli.Arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return runFaults(cmd.Context(), opts) },
	}
	flags := command.Flags()
	flags.StringVar(&opts.rows, "rows", "", "numbers of the rows, or names such as 28-server, comma-separated; empty: all of them")
	flags.StringVar(&opts.out, "out", "", "folder for the report as JSON and Markdown; empty: none is written")
	flags.BoolVar(&opts.ci, "ci", false, "run the rows of the continuous integration, shortened, in less than five minutes")
	flags.BoolVar(&opts.full, "full", false, "run every row at the length that the matrix names")
	flags.BoolVar(&opts.keep, "keep", false, "leave the folders of the systems and the journals where they are, and say where")
	return command
}

func runFaults(ctx context.Context, opts faultFlags) (err error) {
	rows, err := chooseRows(opts)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "realtime-lab-")
	if err != nil {
		return err
	}
	if opts.keep {
		fmt.Println("folders:", dir)
	} else {
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	programs, err := processes.Build(ctx, ".", filepath.Join(dir, "bin"))
	if err != nil {
		return err
	}
	run := report.Report{
		Command: strings.Join(append([]string{"realtime-lab"}, os.Args[1:]...), " "), Began: time.Now().UTC(),
		Machine: map[string]string{
			"system": runtime.GOOS + "/" + runtime.GOARCH, "cores": strconv.Itoa(runtime.NumCPU()), "network": "loopback",
		},
		Versions: programs.Versions(ctx),
	}
	for _, row := range rows {
		fmt.Printf("row %s: %s …\n", row.Name(), row.Title)
		result, err := faults.Run(ctx, row, faults.Options{
			Programs: programs, Dir: dir, Keep: opts.keep, Full: opts.full, Short: opts.ci, Root: os.Geteuid() == 0,
			Log: func(words string) { fmt.Println(words) },
		})
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		run.Rows = append(run.Rows, result)
		fmt.Printf("  %s: %v %s\n", result.Status, result.Verdict, result.Reason)
	}
	if err := run.Table(os.Stdout); err != nil {
		return err
	}
	if opts.out != "" {
		if err := run.Write(opts.out); err != nil {
			return err
		}
	}
	if run.Count(report.Failed) > 0 {
		return errFailed
	}
	return nil
}

// chooseRows returns the rows that the flags select.
func chooseRows(opts faultFlags) ([]faults.Row, error) {
	all := faults.Rows()
	if opts.ci {
		all = slices.DeleteFunc(all, func(row faults.Row) bool { return !row.InCI })
	}
	if opts.rows == "" {
		return all, nil
	}
	var chosen []faults.Row
	for text := range strings.SplitSeq(opts.rows, ",") {
		text = strings.TrimSpace(text)
		asked := func(row faults.Row) bool { return strconv.Itoa(row.Number) == text || row.Name() == text }
		if !slices.ContainsFunc(all, asked) {
			return nil, cli.Usage(fmt.Errorf("--rows: there is no row %q", text))
		}
		for _, row := range all {
			if asked(row) {
				chosen = append(chosen, row)
			}
		}
	}
	return chosen, nil
}
