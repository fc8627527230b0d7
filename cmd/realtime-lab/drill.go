package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/letswriteabook/realtime/internal/cli"
	"github.com/letswriteabook/realtime/lab/drills"
	"github.com/letswriteabook/realtime/lab/processes"
	"github.com/letswriteabook/realtime/lab/report"
)

// errDrillFailed is returned when a drill has failed.
var errDrillFailed = errors.New("a drill has failed")

// allDrills is the name that selects every drill.
const allDrills = "all"

// drillFlags are the flags of a drill.
type drillFlags struct {
	out, output string
	scale       drills.Scale
	keep        bool
	running     runningFlags
}

func newDrill() *cobra.Command {
	var flags drillFlags
	command := &cobra.Command{
		Use:   "drill NAME...",
		Short: "Rehearse a recovery, and prove that nothing was lost",
		Long: `drill starts a throw-away system of real processes on loopback, publishes events, causes
the fault that the drill is named after, lets the system recover, and checks with files written
outside the system whether anything was lost, duplicated, reordered or made up. "drill list"
names the drills; "all" runs every one, one after the other.

It needs redis-server on the PATH. realtime, nats-server, and for the drills with MongoDB
realtime-dev, are taken from the folder of this program or from the PATH; in the source tree
they are built with Go.

With --url the drill runs on a running system and changes it: it prints what it will do, does
it only with --i-know, and undoes it in every case. REDIS_URL, NATS_URL and MONGODB_URI must be
those of that system. Not every drill can run there.

The report goes into DIR/NAME: report.json, report.md, and report.html, a page with a
timeline that works offline. A report of the same drill and day is replaced. An
interruption ends everything that the drill started, and writes no report.

It exits with 0 when every drill passed, 1 when something went wrong with the drill itself,
2 for wrong usage and when a drill cannot run here, and 3 when a drill failed: something was
lost, or the recovery took too long.`,
		Example: `  realtime-lab drill redis-outage
  realtime-lab drill mongo-loss --events 100000
  realtime-lab drill node-loss --outage 1m --out /var/reports -o json
  realtime-lab drill all
  realtime-lab drill redis-outage --url http://gw-1:3001 --url http://gw-2:3001           # says what it would do
  realtime-lab drill gateway-crash --url http://gw-1:3001 --url http://gw-2:3001 --i-know \
    --down "docker kill gw-1" --up "docker start gw-1"`,
		Args: cli.Arguments(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, names []string) error { return runDrills(cmd, names, flags) },
	}
	cli.OutputFlag(command, &flags.output)
	set := command.Flags()
	set.StringVar(&flags.out, "out", "", "folder of the reports; default: docs/qa/drill-reports/<date> in the source tree, drill-reports/<date> elsewhere")
	set.IntVar(&flags.scale.Events, "events", 0, "events stored before mongo-loss and log-restore (default 2000), poison events of poison-flood (default 1000)")
	set.DurationVar(&flags.scale.Outage, "outage", 0, "how long what was taken away stays away, in redis-outage, node-loss and log-restore (default 10s)")
	set.BoolVar(&flags.keep, "keep", false, "leave the folder of the system, with the journals, where it is, and say where")
	flags.running.add(command)
	command.AddCommand(newDrillList())
	return command
}

func newDrillList() *cobra.Command {
	var output string
	command := &cobra.Command{
		Use:     "list",
		Short:   "Name the drills",
		Example: `  realtime-lab drill list -o json | jq -r '.[].name'`,
		Args:    cli.Arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cli.CheckOutput(output); err != nil {
				return err
			}
			listed := []listedDrill{}
			for _, d := range drills.Drills() {
				listed = append(listed, listedDrill{Name: d.Name, Does: d.Does, LimitSeconds: d.Limit.Seconds()})
			}
			return cli.Render(cmd.OutOrStdout(), output, listed, func(w io.Writer) {
				fmt.Fprintln(w, "NAME\tDOES")
				for _, d := range listed {
					fmt.Fprintf(w, "%s\t%s\n", d.Name, d.Does)
				}
			})
		},
	}
	cli.OutputFlag(command, &output)
	return command
}

// listedDrill is a drill in the list.
type listedDrill struct {
	Name string `json:"name"`
	Does string `json:"does"`
	// listedDrill is a drill as the list shows it.
	LimitSeconds float64 `json:"limitSeconds,omitempty"`
}

// chooseDrills returns the drills with the names.
func chooseDrills(names []string) ([]drills.Drill, error) {
	if len(names) == 1 && names[0] == allDrills {
		return drills.Drills(), nil
	}
	var chosen []drills.Drill
	for _, name := range names {
		d, err := drills.Find(name)
		if err != nil {
			return nil, cli.Usage(err)
		}
		chosen = append(chosen, d)
	}
	return chosen, nil
}

// ranDrill is the result of a drill as the command shows it.
type ranDrill struct {
	report.Drill
	// Folder is the folder of its report.
	Folder string `json:"folder"`
}

func runDrills(cmd *cobra.Command, names []string, flags drillFlags) (err error) {
	if err := cli.CheckOutput(flags.output); err != nil {
		return err
	}
	chosen, err := chooseDrills(names)
	if err != nil {
		return err
	}
	if err := flags.scale.Validate(); err != nil {
		return cli.Usage(err)
	}
	ctx := cmd.Context()
	running, err := flags.running.system(cmd, names)
	if err == nil {
		err = flags.running.consent(ctx, chosen, running, flags.scale)
	}
	if err != nil {
		return cli.Usage(err)
	}
	executable, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	dir, err := os.MkdirTemp("", "realtime-drill-")
	if err != nil {
		return err
	}
	if flags.keep {
		fmt.Fprintln(os.Stderr, "folder:", dir)
	} else {
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	out := flags.out
	if out == "" {
		out = defaultReports(time.Now())
	}
	for _, d := range chosen { // before a system is damaged without a report
		if err := writable(filepath.Join(out, d.Name)); err != nil {
			return fmt.Errorf("the report of drill %s cannot be written: %w", d.Name, err)
		}
	}
	ran, failed := []ranDrill{}, error(nil)
	for _, d := range chosen {
		result, err := runDrill(ctx, d, drills.Options{
			Scale: flags.scale, Running: running, Executable: executable, Dir: dir, Keep: flags.keep,
			Command: strings.Join(append([]string{"realtime-lab"}, os.Args[1:]...), " "),
		})
		if err != nil {
			return errors.Join(err, showDrills(cmd, flags.output, ran))
		}
		folder := filepath.Join(out, d.Name)
		if err := result.Write(folder); err != nil {
			return err
		}
		if result.Result.Status == report.Failed {
			failed = cli.Differs(errDrillFailed)
		}
		ran = append(ran, ranDrill{Drill: result, Folder: folder})
	}
	return errors.Join(failed, showDrills(cmd, flags.output, ran))
}

// writable checks that a file can be written in a folder, and removes what it has created:
// a drill that is refused or interrupted leaves nothing.
func writable(folder string) error {
	var made []string // the innermost first
	for missing := folder; ; missing = filepath.Dir(missing) {
		if _, err := os.Stat(missing); !errors.Is(err, os.ErrNotExist) {
			break
		}
		made = append(made, missing)
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	defer func() {
		for _, each := range made {
			_ = os.Remove(each) // fails for a folder that another program has used meanwhile
		}
	}()
	probe, err := os.CreateTemp(folder, ".probe-*")
	if err != nil {
		return err
	}
	_, err = probe.Write(make([]byte, 64<<10)) // the size of a report: an empty file fits on a full disk
	return errors.Join(err, probe.Close(), os.Remove(probe.Name()))
}

// runDrill runs a drill and prints its progress on standard error.
func runDrill(ctx context.Context, d drills.Drill, options drills.Options) (report.Drill, error) {
	began := time.Now()
	options.Log = func(line string) {
		fmt.Fprintf(os.Stderr, "%s %6.1f s  %s\n", d.Name, time.Since(began).Seconds(), line)
	}
	result, err := drills.Run(ctx, d, options)
	if errors.Is(err, processes.ErrNoProgram) || errors.Is(err, drills.ErrThrowAwayOnly) {
		return result, cli.Usage(fmt.Errorf("drill %s cannot run here: %w", d.Name, err))
	}
	if err == nil && result.Result.Status == report.Skipped {
		return result, cli.Usage(fmt.Errorf("drill %s cannot run here: %s", d.Name, result.Result.Reason))
	}
	return result, err
}

// defaultReports returns the default folder of the reports.
func defaultReports(day time.Time) string {
	date := day.UTC().Format(time.DateOnly)
	if info, err := os.Stat(filepath.Join("docs", "qa")); err == nil && info.IsDir() {
		return filepath.Join("docs", "qa", "drill-reports", date)
	}
	return filepath.Join("drill-reports", date)
}

func showDrills(cmd *cobra.Command, output string, ran []ranDrill) error {
	return cli.Render(cmd.OutOrStdout(), output, ran, func(w io.Writer) {
		fmt.Fprintln(w, "DRILL\tSTATUS\tLOST\tDUPLICATED\tREORDERED\tPHANTOM\tRECOVERY\tTOOK\tREPORT")
		for _, d := range ran {
			v := d.Result.Verdict
			fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%.1f s\t%.1f s\t%s\n", d.Name, d.Result.Status, v.Lost, v.Duplicated, v.Reordered, v.Phantom,
				float64(d.Result.RecoveryMillis)/1000, float64(d.Result.TookMillis)/1000, filepath.Join(d.Folder, "report.html"))
		}
		for _, d := range ran {
			if d.Result.Reason != "" {
				fmt.Fprintf(w, "%s %s: %s\n", d.Name, d.Result.Status, d.Result.Reason)
			}
		}
	})
}
