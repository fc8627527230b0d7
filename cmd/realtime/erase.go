package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/letswriteabook/realtime/eventstore/audit"
	"github.com/letswriteabook/realtime/internal/cli"
	"github.com/letswriteabook/realtime/operations"
	"github.com/letswriteabook/realtime/operations/erasure"
)

func newErase() *cobra.Command {
	var request erasure.Request
	var dryRun bool
	var output string
	command := &cobra.Command{
		Use:   "erase JOB --reason WHY",
		Short: "Remove a job permanently, as for a person's right to erasure",
		Long: `erase removes what the service keeps of a job: its events in the log and its dead letters,
and its documents in the read models. From then on gateways do not show the job, and send
its subscribers novel.gap with the reason "erased". A permanent record keeps who erased
what, when and why ("realtime audit list"), with the job's name and the reason.

Up to 1,000 events and dead letters are overwritten on disk. A larger number is purged: clients
cannot read them from the servers any more, and their bytes stay in the files of the log until
the server rewrites those. With --overwrite all are overwritten, which takes the
server 10 to 50 ms each.

Stop the job's producers first: an event that is published later is a new one, and
stays. The workers' own collection novel_jobs is not changed; its documents are counted.
A backup keeps its bytes. With --backup its manifest records the erasure, and a restore
omits the job.

It may be interrupted and repeated at any point; "realtime operations" lists one that
was interrupted. New events of the job can be read throughout.

It exits with 0 when nothing of the job is left, 1 when something failed, 2 for wrong
usage, 3 when no data of the job was ever stored: check the name.`,
		Example: `  realtime erase job-1 --reason "request 2026-117" --dry-run
  realtime erase job-1 --reason "request 2026-117" --by j.doe --backup /backups/2026-03-01
  realtime audit list --job job-1`,
		Args: cli.Arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := cli.CheckOutput(output); err != nil {
				return err
			}
			request.JobID = args[0]
			if request.Reason = strings.TrimSpace(request.Reason); request.Reason == "" {
				return cli.Usage(errors.New("--reason is needed: why is the job erased?"))
			}
			if request.By == "" {
				return cli.Usage(errors.New("--by is needed: this system does not say who you are"))
			}
			return withOperator(cmd.Context(), func(operator *operations.Operator, shown *cli.Progress) error {
				result, err := operator.Erase(cmd.Context(), request, cli.CommandLine(cmd, args...), dryRun, shown.Report)
				nothing := errors.Is(err, erasure.ErrNothing)
				if err != nil && !nothing {
					return err
				}
				shown.End()
				// Also shown if nothing was found: dead letters that cannot be read may contain
				// the name.
				shownErr := cli.Render(cmd.OutOrStdout(), output, result, func(w io.Writer) { showErased(w, result) })
				if nothing {
					return errors.Join(err, shownErr)
				}
				return shownErr
			})
		},
	}
	flags := command.Flags()
	flags.StringVar(&request.Reason, "reason", "", "why; it is kept for good, so name no person in it (required)")
	flags.StringVar(&request.By, "by", cli.User(), "who erases the job")
	flags.StringSliceVar(&request.Backups, "backup", nil, "the folder of a backup whose manifest records the erasure; repeatable")
	flags.BoolVar(&request.Overwrite, "overwrite", false, "overwrite each event and dead letter on disk, however many there are")
	flags.BoolVar(&dryRun, "dry-run", false, "say what would be removed, and remove nothing")
	cli.Path(command, "backup")
	cli.OutputFlag(command, &output)
	return command
}

func showErased(w io.Writer, result erasure.Result) {
	if result.Found != nil {
		fmt.Fprintln(w, "WOULD REMOVE\tEVENTS\tDEAD LETTERS\tDOCUMENTS\tHEADS")
		found := result.Found
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\n", printable(result.JobID), found.Events, found.Letters, found.Documents, found.Heads)
		if result.Purge {
			fmt.Fprintln(w, "there is too much to overwrite it on disk: it would be purged, unless --overwrite is given")
		}
	}
	if len(result.Done) > 0 {
		fmt.Fprintln(w, "ERASED\tEVENTS\tDEAD LETTERS\tDOCUMENTS\tHEADS\tUP TO\tNOTE\tON DISK")
	}
	for _, e := range result.Done {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%s\n", printable(e.JobID),
			e.Removed.Events, e.Removed.Letters, e.Removed.Documents, e.Removed.Heads, e.Through, e.Number, onDisk(e))
	}
	if before := result.Before; before != nil {
		fmt.Fprintf(w, "nothing is left: erased by %s on %s\n", printable(before.By), before.At.Format(time.RFC3339))
	}
	if result.Interrupted {
		fmt.Fprintln(w, "an erasure of this job was interrupted; it is finished first")
	}
	if result.Aggregates > 0 {
		fmt.Fprintf(w, "novel_jobs has %d documents of the job: they are the workers', and stay\n", result.Aggregates)
	}
	if len(result.Mentions) > 0 {
		var letters []string
		for _, sequence := range result.Mentions {
			letters = append(letters, strconv.FormatUint(sequence, 10))
		}
		list := strings.Join(letters, " ")
		fmt.Fprintf(w, "dead letters that cannot be read hold its name; look at them, and remove them if they are its: realtime deadletter purge %s\n", list)
	}
	if result.Rebuilding {
		fmt.Fprintln(w, "there is a shadow of a read model: if a rebuild runs, repeat this when it has ended")
	}
}

// onDisk describes what happened to the bytes in the files of the log.
func onDisk(erasure audit.Erasure) string {
	if erasure.Purged {
		return "purged"
	}
	return "overwritten"
}

func newAudit() *cobra.Command {
	command := &cobra.Command{
		Use:   "audit",
		Short: "Show what was erased, by whom and why, and what was reloaded",
		Args:  cli.Arguments(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	command.AddCommand(newAuditList(), newAuditReloads())
	return command
}

func newAuditList() *cobra.Command {
	var jobID, output string
	command := &cobra.Command{
		Use:   "list",
		Short: "List the records of erasures, oldest first",
		Long: `list shows the records of erasures in the stream NOVEL_AUDIT, from which nothing can be
deleted. An erasure that has begun and is not done was interrupted: repeat it.

It exits with 0 on success, 1 after a failure, 2 for wrong usage, and 3 when an erasure is
not finished, or --job has none.`,
		Example: `  realtime audit list
  realtime audit list --job job-1 -o json`,
		Args: cli.Arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cli.CheckOutput(output); err != nil {
				return err
			}
			return withOperator(cmd.Context(), func(operator *operations.Operator, _ *cli.Progress) error {
				notes, err := operator.Erasures(cmd.Context(), jobID)
				if err != nil {
					return err
				}
				if notes == nil {
					notes = []audit.Erasure{}
				}
				if len(notes) == 0 && jobID != "" {
					return errors.Join(nothingMatches("no erasure of this job is recorded; check the name of the job"), cli.Render(cmd.OutOrStdout(), output, notes, func(io.Writer) {}))
				}
				err = cli.Render(cmd.OutOrStdout(), output, notes, func(w io.Writer) {
					fmt.Fprintln(w, "NOTE\tAT\tSTAGE\tJOB\tUP TO\tEVENTS\tDEAD LETTERS\tDOCUMENTS\tHEADS\tON DISK\tBY\tREASON")
					for _, n := range notes {
						fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%s\t%s\t%s\n", n.Number, n.At.Format(time.RFC3339), n.Stage, printable(n.JobID), n.Through,
							n.Removed.Events, n.Removed.Letters, n.Removed.Documents, n.Removed.Heads, onDisk(n), printable(n.By), printable(n.Reason))
					}
				})
				if waiting := erasure.Unfinished(notes); err == nil && len(waiting) > 0 {
					err = cli.Differs(fmt.Errorf("not finished: realtime erase %q", waiting))
				}
				return err
			})
		},
	}
	command.Flags().StringVar(&jobID, "job", "", "only those on this job")
	cli.OutputFlag(command, &output)
	return command
}
