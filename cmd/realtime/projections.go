package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/letswriteabook/realtime/internal/cli"
	"github.com/letswriteabook/realtime/operations"
	"github.com/letswriteabook/realtime/operations/rebuild"
	"github.com/letswriteabook/realtime/projections"
)

func newProjections() *cobra.Command {
	command := &cobra.Command{
		Use:   "projections",
		Short: "Show, verify and rebuild the read models in MongoDB",
		Long: `projections works on the read models: history (novel_job_events) and job-heads
(novel_job_heads). Without a name, a command works on both. Each command can be interrupted
and repeated at any point.

They exit with 0 on success, 1 after a failure, 2 for wrong usage, and 3 when
a comparison found differences.`,
		Example: `  realtime projections status
  realtime projections verify history`,
		Args: cli.Arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	command.AddCommand(newProjectionsStatus(), newProjectionsRebuild(), newProjectionsVerify(), newProjectionsSwap())
	return command
}

// projectionNames refuses an argument that is not a projection, before anything is opened.
func projectionNames(_ *cobra.Command, names []string) error {
	for _, name := range names {
		if err := projections.CheckName(name); err != nil {
			return err
		}
	}
	return nil
}

// projectionsCommand completes a command that processes each projection and shows the
// results. If there are differences, it returns [operations.ErrDiffers] after all results were shown.
func projectionsCommand[T any](
	command *cobra.Command, table func(io.Writer, []T), each func(cmd *cobra.Command, r *operations.Rebuild) (T, error),
) *cobra.Command {
	var output string
	cli.OutputFlag(command, &output)
	command.ValidArgs = projections.Names()
	command.Args = cli.Arguments(projectionNames)
	command.RunE = func(cmd *cobra.Command, names []string) error {
		if err := cli.CheckOutput(output); err != nil {
			return err
		}
		return withOperator(cmd.Context(), func(operator *operations.Operator, shown *cli.Progress) error {
			rebuilds, err := operator.Rebuilds(cmd.Context(), names, shown.Report)
			if err != nil {
				return err
			}
			var results []T
			var differs error
			for _, r := range rebuilds {
				result, err := each(cmd, r)
				if err != nil && !errors.Is(err, operations.ErrDiffers) {
					return err
				}
				if err != nil {
					differs = cli.Differs(operations.ErrDiffers)
				}
				results = append(results, result)
			}
			shown.End()
			return errors.Join(differs, cli.Render(cmd.OutOrStdout(), output, results, func(w io.Writer) { table(w, results) }))
		})
	}
	return command
}

// held wraps a command so that it holds the lease of its projection: only one such command
// runs at a time, over all processes.
func held[T any](kind string, each func(*cobra.Command, *operations.Rebuild) (T, error)) func(*cobra.Command, *operations.Rebuild) (T, error) {
	return func(cmd *cobra.Command, r *operations.Rebuild) (result T, err error) {
		before := cmd.Context()
		defer cmd.SetContext(before)
		err = r.Hold(before, kind, cli.CommandLine(cmd, r.Name()), func(ctx context.Context) error {
			cmd.SetContext(ctx)
			var err error
			result, err = each(cmd, r)
			return err
		})
		return result, err
	}
}

func newProjectionsStatus() *cobra.Command {
	return projectionsCommand(&cobra.Command{
		Use:   "status [PROJECTION...]",
		Short: "Show how far each projection is behind the log",
		Long: `status shows, for each projection, the sequence up to which MongoDB has everything, the
lag in events and in seconds (the age of the oldest that is missing), a rebuild under way,
and the collections that swaps have replaced.`,
		Example: `  realtime projections status
  realtime projections status -o json | jq '.[].lagSeconds'`,
	}, tableOfStatus, func(cmd *cobra.Command, r *operations.Rebuild) (rebuild.Status, error) {
		return r.Status(cmd.Context())
	})
}

func tableOfStatus(w io.Writer, all []rebuild.Status) {
	fmt.Fprintln(w, "PROJECTION\tCOLLECTION\tDOCUMENTS\tFLOOR\tHEAD\tLAG EVENTS\tLAG SECONDS\tSHADOW\tNOTES")
	for _, s := range all {
		shadow := "-"
		if s.Shadow != nil {
			shadow = fmt.Sprintf("%d documents, %d events behind", s.Shadow.Documents, s.Shadow.LagEvents)
		}
		var notes []string
		if !s.Ran {
			notes = append(notes, "has never run")
		}
		if s.Paused {
			notes = append(notes, "paused")
		}
		if s.Lost {
			notes = append(notes, "its collection was dropped: run realtime projections rebuild "+s.Projection+" --swap")
		}
		if s.Unfinished {
			notes = append(notes, "swap unfinished: run realtime projections swap "+s.Projection)
		}
		if len(s.Old) > 0 {
			notes = append(notes, "kept: "+strings.Join(s.Old, ", "))
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%.1f\t%s\t%s\n",
			s.Projection, s.Collection, s.Documents, s.Floor, s.Head, s.LagEvents, s.LagSeconds, shadow, strings.Join(notes, "; "))
	}
}

func newProjectionsVerify() *cobra.Command {
	var shadow, mend bool
	var show int
	command := projectionsCommand(&cobra.Command{
		Use:   "verify [PROJECTION...]",
		Short: "Compare what MongoDB holds with the log, changing nothing",
		Long: `verify computes the read model from the log, up to what the projection has acknowledged, and lists documents
that are missing, extra or different. Documents that do not come from the log are counted
as kept: those of older writers, of earlier epochs, and of events that retention removed.
Adopted ones were written by a worker and are compared as well. Doubled are events that
the collection has twice, once as a worker wrote them, and erased are documents that a worker wrote of
events after their job was erased: a gateway adopts the ones and removes the others within
seconds, and --mend does so before the comparison.`,
		Example: `  realtime projections verify
  realtime projections verify history --mend
  realtime projections verify history --show 100 -o json
  realtime projections verify --shadow      # a rebuild that waits to be swapped`,
	}, tableOfReports, func(cmd *cobra.Command, r *operations.Rebuild) (rebuild.Report, error) {
		mended := 0
		if mend {
			var err error
			if mended, err = r.MendDoubled(cmd.Context()); err != nil {
				return rebuild.Report{}, err
			}
		}
		report, err := r.Compare(cmd.Context(), shadow, show)
		report.Mended = mended
		return report, err
	})
	command.Flags().BoolVar(&mend, "mend", false, "first adopt workers' documents of doubled events, and remove those of erased events")
	command.Flags().BoolVar(&shadow, "shadow", false, "compare the shadow instead of the collection")
	command.MarkFlagsMutuallyExclusive("mend", "shadow")
	showFlag(command, &show)
	return command
}

func tableOfReports(w io.Writer, all []rebuild.Report) {
	fmt.Fprintln(w, "COLLECTION\tUP TO\tEXPECTED\tFOUND\tMISSING\tEXTRA\tDIFFERENT\tREDUCED\tKEPT\tADOPTED\tDOUBLED\tERASED\tMENDED\tSECONDS\tRESULT")
	for _, r := range all {
		result := "equal"
		if !r.Equal {
			result = "DIFFERS"
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%.1f\t%s\n",
			r.Collection, r.LastSequence, r.Expected, r.Found, r.Missing, r.Extra, r.Different, r.Reduced, r.Kept,
			r.Adopted, r.Doubled, r.Erased, r.Mended, r.Seconds, result)
	}
	for _, r := range all {
		for _, d := range r.Differences {
			fmt.Fprintf(w, "%s\t%s\tsequence %d\tjob %q\n", r.Collection, d.What, d.Sequence, d.Job)
		}
	}
}

func newProjectionsRebuild() *cobra.Command {
	var how operations.Remake
	command := projectionsCommand(&cobra.Command{
		Use:   "rebuild [PROJECTION...]",
		Short: "Rebuild a projection beside live traffic, and compare it",
		Long: `rebuild fills a shadow collection from the log, or continues one after an interruption,
and compares it with the log. The projection itself does not change: "swap", or --swap,
puts the shadow into its place.`,
		Example: `  realtime projections rebuild history
  realtime projections rebuild --swap
  realtime projections rebuild history --restart    # discard the existing shadow`,
	}, tableOfRebuilds, held("rebuild", func(cmd *cobra.Command, r *operations.Rebuild) (operations.Rebuilt, error) {
		return r.Remake(cmd.Context(), how)
	}))
	command.Flags().BoolVar(&how.Restart, "restart", false, "begin with an empty shadow")
	cli.NotRepeated(command, "restart") // which would discard what the interrupted rebuild has done
	command.Flags().BoolVar(&how.Swap, "swap", false, "swap the shadow into place when it equals the log")
	command.Flags().BoolVar(&how.DropOld, "drop-old", false, "with --swap: drop the replaced collections, of this swap and earlier ones")
	showFlag(command, &how.Show)
	return command
}

func newProjectionsSwap() *cobra.Command {
	var how operations.Replacement
	command := projectionsCommand(&cobra.Command{
		Use:   "swap [PROJECTION...]",
		Short: "Put a rebuilt projection into its place",
		Long: `swap brings the shadow up to the log, compares it, pauses the live consumer for a moment
and renames the collections. The old one stays under another name until --drop-old. The next
swap finishes one that was interrupted.`,
		Example: `  realtime projections swap history
  realtime projections swap history --drop-old    # also later, after the swap`,
	}, tableOfRebuilds, held("swap", func(cmd *cobra.Command, r *operations.Rebuild) (operations.Rebuilt, error) {
		return r.Replace(cmd.Context(), how)
	}))
	command.Flags().BoolVar(&how.DropOld, "drop-old", false, "drop the replaced collections, of this swap and earlier ones")
	showFlag(command, &how.Show)
	return command
}

func tableOfRebuilds(w io.Writer, all []operations.Rebuilt) {
	var reports []rebuild.Report
	for _, r := range all {
		if r.Swapped.Compared != nil {
			reports = append(reports, *r.Swapped.Compared)
		}
	}
	tableOfReports(w, reports)
	for _, r := range all {
		if r.Swapped.Old != "" {
			fmt.Fprintf(w, "%s\tswapped\tthe old one is %s\tpaused for %.2f s\n", r.Swapped.Projection, r.Swapped.Old, r.Swapped.PausedSeconds)
		}
		for _, name := range r.Dropped {
			fmt.Fprintf(w, "%s\tdropped\t%s\n", r.Swapped.Projection, name)
		}
	}
}

func showFlag(command *cobra.Command, show *int) {
	command.Flags().IntVar(show, "show", 20, "the most differences to list")
}
