package main

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/letswriteabook/realtime/eventstore/lease"
	"github.com/letswriteabook/realtime/internal/cli"
	"github.com/letswriteabook/realtime/operations"
)

func newOperations() *cobra.Command {
	var output string
	command := &cobra.Command{
		Use:   "operations",
		Short: "List operations in several steps that run or were interrupted",
		Long: `operations lists rebuilds, swaps, restores, erasures and replays into the log, with the
user and the progress of each, and the command that continues it after an interruption.
Each projection and job has one operation at a time, and a restore of the log excludes all
others. An operation that has succeeded is no longer listed.

The lease of a process that is gone ends after 20 s, and at once on the same machine.

It exits with 0 on success, 1 when something failed, 2 for wrong usage.`,
		Example: `  realtime operations
  realtime operations -o json | jq '.[] | select(.state != "running") | .resume'
  realtime operations undo projection/history`,
		Args: cli.Arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cli.CheckOutput(output); err != nil {
				return err
			}
			return withOperator(cmd.Context(), func(operator *operations.Operator, _ *cli.Progress) error {
				all, err := operator.Operations(cmd.Context())
				if err != nil {
					return err
				}
				if all == nil {
					all = []lease.Operation{}
				}
				return cli.Render(cmd.OutOrStdout(), output, all, func(w io.Writer) { tableOfOperations(w, all) })
			})
		},
	}
	cli.OutputFlag(command, &output)
	command.AddCommand(newOperationsUndo())
	return command
}

func tableOfOperations(w io.Writer, all []lease.Operation) {
	fmt.Fprintln(w, "TARGET\tOPERATION\tSTATE\tBEGAN\tBY\tHOST\tPROCESS\tSTEP\tDONE\tRESUME\tERROR")
	for _, o := range all {
		done := "-"
		switch {
		case o.Total > 0:
			done = fmt.Sprintf("%d of %d", o.Done, o.Total)
		case o.Done > 0:
			done = fmt.Sprint(o.Done)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\t%s\n", printable(o.Target), o.Kind, o.State, o.BeganAt.Format(time.RFC3339),
			printable(o.By), printable(o.Host), o.PID, orDash(printable(o.Step)), done, pasteable(o.Resume), orDash(printable(o.Error)))
	}
}

// pasteable returns a command quoted for a shell, unless it has characters that a terminal
// does not show.
func pasteable(command string) string {
	if strings.ContainsFunc(command, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return printable(command)
	}
	return command
}

func newOperationsUndo() *cobra.Command {
	var emptyLog bool
	command := &cobra.Command{
		Use:   "undo TARGET",
		Short: "Remove what an interrupted operation has left",
		Long: `undo removes what an interrupted or failed operation has left (the shadow of a rebuild, or
the stream that a restore has put beside the log) and the operation from the list. Events
that a replay has sent stay. An erasure, a swap that has moved collections, and a restore that has
removed the log cannot be undone: finish them.`,
		Example: `  realtime operations undo projection/history
  realtime operations undo log`,
		Args: cli.Arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withOperator(cmd.Context(), func(operator *operations.Operator, _ *cli.Progress) error {
				if err := operator.UndoOperation(cmd.Context(), args[0], emptyLog); err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "undone: %s\n", printable(args[0]))
				return nil
			})
		},
	}
	command.Flags().BoolVar(&emptyLog, "empty-log", false, "give up a restore that has removed the log: gateways then create a new, empty one")
	return command
}
