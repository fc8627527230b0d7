package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/letswriteabook/realtime/internal/cli"
	"github.com/letswriteabook/realtime/operations"
	"github.com/letswriteabook/realtime/operations/backup"
)

func newBackup() *cobra.Command {
	var output string
	var adopt bool
	command := &cobra.Command{
		Use:   "backup DIR",
		Short: "Save the log into a folder, with checksums",
		Long: `backup writes events and dead letters into a new folder, in JetStream's own snapshot
format, and a manifest with the checksum of each file. Publishing continues meanwhile. After an
interruption, run it again with the same folder.

The nats CLI can restore each stream's folder, too: nats backup restore stream DIR/NOVEL_EVENTS.
With --adopt nothing is saved: the folder was written by the nats CLI, with nats backup
stream NOVEL_EVENTS DIR/NOVEL_EVENTS, and gets the manifest that restore needs.

It exits with 0 when the backup is whole, 1 when something failed, 2 for wrong usage.`,
		Example: `  NATS_URL=nats://nats-1:4222 realtime backup /backups/2026-03-01
  realtime backup /backups/2026-03-01 -o json
  realtime backup /backups/by-nats-cli --adopt`,
		Args: cli.Arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := cli.CheckOutput(output); err != nil {
				return err
			}
			show := func(manifest backup.Manifest) error {
				return cli.Render(cmd.OutOrStdout(), output, manifest, func(w io.Writer) {
					fmt.Fprintln(w, "STREAM\tEPOCH\tMESSAGES\tFIRST\tLAST")
					for _, s := range manifest.Streams {
						fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\n", s.Name, s.Epoch, s.Messages, s.FirstSequence, s.LastSequence)
					}
				})
			}
			if adopt {
				manifest, err := backup.Adopt(args[0])
				if err != nil {
					return err
				}
				return show(manifest)
			}
			return withOperator(cmd.Context(), func(operator *operations.Operator, shown *cli.Progress) error {
				manifest, err := operator.Backup(cmd.Context(), args[0], shown.Report)
				if err != nil {
					return err
				}
				return show(manifest)
			})
		},
	}
	cli.OutputFlag(command, &output)
	command.Flags().BoolVar(&adopt, "adopt", false, "only write the manifest of a backup that the nats CLI has made")
	return command
}

func newRestore() *cobra.Command {
	var output string
	var request operations.RestoreRequest
	var check bool
	command := &cobra.Command{
		Use:   "restore DIR",
		Short: "Restore the log from a backup, in a new epoch",
		Long: `restore verifies every checksum, then restores the streams of a backup. The log gets
a new epoch: clients that resume receive novel.gap and catch up from the beginning, the
projections start over, and documents of the old epoch stay in MongoDB and are not served.

Jobs that were erased after the backup was made are omitted, according to its manifest and
to the record of erasures on the server. That record is never replaced.

restore refuses to run if a stream exists. With --replace the backup is restored beside the
existing streams, its messages are counted, their checksum is compared, and then the backup
replaces the streams: events appended after the backup are lost. If the server cannot hold
both, --in-place deletes the existing streams first, after checking name, limits and replicas.

Until the restore is complete the streams carry a mark, and the service does not use them as
the log. After an interruption, repeat the restore; "realtime operations" has the command.
Meanwhile gateways keep published events and store them afterwards.

It exits with 0 when the log is restored, or the backup is whole (with --check), 1 when
something failed or the folder holds no backup, 2 for wrong usage, 3 when --check finds
that a file differs from the manifest.`,
		Example: `  NATS_URL=nats://nats-1:4222 realtime restore /backups/2026-03-01
  realtime restore /backups/2026-03-01 --check      # only the checksums
  realtime restore /backups/2026-03-01 --replace    # over the log that is there`,
		Args: cli.Arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := cli.CheckOutput(output); err != nil {
				return err
			}
			request.Dir = args[0]
			if request.InPlace && !request.Replace {
				return cli.Usage(errors.New("--in-place deletes the log that is there first: it needs --replace"))
			}
			if check {
				manifest, err := backup.CheckFolder(args[0])
				if errors.Is(err, backup.ErrCorrupt) {
					return cli.Differs(err)
				}
				if err != nil {
					return err
				}
				return cli.Render(cmd.OutOrStdout(), output, manifest, func(w io.Writer) {
					fmt.Fprintf(w, "the backup of %s is whole\n", manifest.CreatedAt.Format("2006-01-02 15:04:05Z07:00"))
				})
			}
			// A folder that was named may be a new one; the default is as a rule a forgotten NATS_URL.
			return withLog(cmd.Context(), os.Getenv("DATA_DIR") != "", func(operator *operations.Operator, shown *cli.Progress) error {
				request.Resume = cli.CommandLine(cmd, cli.Absolute(request.Dir))
				restored, err := operator.Restore(cmd.Context(), request, shown.Report)
				if err != nil {
					return err
				}
				return cli.Render(cmd.OutOrStdout(), output, restored, func(w io.Writer) {
					fmt.Fprintln(w, "STREAM\tMESSAGES\tFIRST\tLAST\tEPOCH\tWAS")
					for i, s := range restored.Streams {
						epoch := restored.Epoch
						if i > 0 {
							epoch = ""
						}
						fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%s\t%s\n", s.Name, s.Messages, s.FirstSequence, s.LastSequence, epoch, s.Epoch)
					}
					for _, job := range restored.Erased {
						fmt.Fprintf(w, "left out, because it was erased: %s\n", printable(job))
					}
				})
			})
		},
	}
	cli.OutputFlag(command, &output)
	command.Flags().BoolVar(&request.Replace, "replace", false, "replace the existing log")
	command.Flags().BoolVar(&request.InPlace, "in-place", false, "with --replace: delete the existing log first, for a server that cannot hold both")
	command.Flags().BoolVar(&check, "check", false, "compare the files with the manifest, and do nothing else")
	return command
}
