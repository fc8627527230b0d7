package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/letswriteabook/realtime/internal/cli"
	"github.com/letswriteabook/realtime/messaging"
	"github.com/letswriteabook/realtime/operations"
	"github.com/letswriteabook/realtime/operations/inspect"
	"github.com/letswriteabook/realtime/operations/replay"
)

// errNotWhole is returned if an event is not stored or projected as it should be.
var errNotWhole = errors.New("the event is not where it should be")

// errNotAsked is returned if MongoDB did not answer whether it has the event.
var errNotAsked = errors.New("MongoDB does not answer, so it is unknown whether it has the event")

// maxHistory is the largest number of events of a job that the command shows.
const maxHistory = 10_000

func newLog() *cobra.Command {
	command := &cobra.Command{
		Use:   "log",
		Short: "Show what the log holds, one job's events or one event's way; change the log's settings",
		Long: `The commands of log only read, except log set.

They exit with 0 on success, 1 after a failure, 2 for wrong usage, and 3 when nothing
matches, or an event is not stored or projected as it should be.`,
		Example: `  realtime log status
  realtime log job novel-7 --limit 20
  realtime log event 01JD3M8Q4Y0V6T2K9F5B7N1C0R --job novel-7`,
		Args: cli.Arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	command.AddCommand(newLogStatus(), newLogJob(), newLogEvent(), newLogSet())
	return command
}

func newLogStatus() *cobra.Command {
	var output string
	command := &cobra.Command{
		Use:   "status",
		Short: "Show the streams, their limits and consumers, and dead letters",
		Long: `status shows the epoch, each stream with its limits, oldest and newest message, and how
full it is, each consumer of the events with its lag in events and in seconds (the age
of the oldest event without an acknowledgement), and dead letters by reason.`,
		Example: `  realtime log status
  realtime log status -o json | jq '.consumers[] | select(.durable) | {name, lagSeconds}'`,
		Args: cli.Arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cli.CheckOutput(output); err != nil {
				return err
			}
			return withOperator(cmd.Context(), func(operator *operations.Operator, _ *cli.Progress) error {
				status, err := operator.LogStatus(cmd.Context())
				if err != nil {
					return err
				}
				return cli.Render(cmd.OutOrStdout(), output, status, func(w io.Writer) { tableOfLog(w, status) })
			})
		},
	}
	cli.OutputFlag(command, &output)
	return command
}

func tableOfLog(w io.Writer, status inspect.Status) {
	fmt.Fprintf(w, "epoch %s, sequences %d to %d\n\n", status.Epoch, status.First, status.Last)
	fmt.Fprintln(w, "STREAM\tMESSAGES\tBYTES\tLIMIT\tFULL\tWHEN FULL\tMAX AGE\tDEDUP\tFIRST\tAT\tLAST\tAT\tREPLICAS\tLEADER")
	for _, s := range status.Streams {
		leader := s.Leader
		if len(s.LaggingReplicas) > 0 {
			leader += ", lagging: " + strings.Join(s.LaggingReplicas, " ")
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%s\t%.1f %%\t%s\t%s\t%s\t%d\t%s\t%d\t%s\t%d %s\t%s\n",
			s.Name, s.Messages, s.Bytes, numberOrDash(s.MaxBytes), s.FullPercent, s.WhenFull, lengthOrDash(s.MaxAgeSeconds), lengthOrDash(s.DedupSeconds),
			s.First, timeOrDash(s.FirstAt), s.Last, timeOrDash(s.LastAt), s.Replicas, s.Storage, orDash(leader))
	}
	fmt.Fprintln(w, "\nCONSUMER\tDELIVERED\tACKNOWLEDGED\tLAG EVENTS\tLAG SECONDS\tIN FLIGHT\tREDELIVERED\tNOTES")
	for _, c := range status.Consumers {
		var notes []string
		if !c.Durable {
			notes = append(notes, "ends with its reader")
		}
		if c.NeverRan {
			notes = append(notes, "never ran")
		}
		if c.Paused {
			notes = append(notes, "paused")
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%.1f\t%d\t%d\t%s\n",
			c.Name, c.Delivered, c.Acknowledged, c.LagEvents, c.LagSeconds, c.InFlight, c.Redelivered, orDash(strings.Join(notes, ", ")))
	}
	fmt.Fprintln(w, "\nDEAD LETTERS\tREASON")
	for _, reason := range slices.Sorted(maps.Keys(status.DeadLetters)) {
		fmt.Fprintf(w, "%d\t%s\n", status.DeadLetters[reason], reason)
	}
	if len(status.DeadLetters) == 0 {
		fmt.Fprintln(w, "0\t-")
	}
}

func newLogJob() *cobra.Command {
	var output, since string
	var limit int
	command := &cobra.Command{
		Use:   "job JOB",
		Short: "Show one job's events",
		Long: `job shows the newest events of a job, or with --since those after a position, oldest
first. -o json writes one line of JSON for each, with the envelope, as replay does. When
there are more, the last line on standard error has the --since at which they begin.

For all events of a job, whatever their number, see realtime replay --job. It exits with 3
when there are none.`,
		Example: `  realtime log job novel-7
  realtime log job novel-7 --since 0 --limit 100 -o json | jq -c .envelope`,
		Args: cli.Arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			after, err := historyFlags(args[0], since, limit)
			if err = errors.Join(err, cli.CheckOutput(output)); err != nil {
				return err
			}
			return withOperator(cmd.Context(), func(operator *operations.Operator, _ *cli.Progress) error {
				encoder := json.NewEncoder(cmd.OutOrStdout())
				encoder.SetEscapeHTML(false)
				columns := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
				if output == "table" {
					fmt.Fprintln(columns, "SEQUENCE\tSTORED\tEMITTED\tKIND\tTYPE\tID\tBYTES\tREPLAY OF")
				}
				var last messaging.Position // zero: none was found
				more, err := operator.JobHistory(cmd.Context(), args[0], after, limit, func(line replay.Line, eventType string) error {
					last = messaging.Position{Epoch: line.Epoch, Sequence: line.Sequence}
					if output == "json" {
						return encoder.Encode(line)
					}
					_, err := fmt.Fprintf(columns, "%d\t%s\t%s\t%s\t%s\t%s\t%d\t%s\n", line.Sequence, line.StoredAt.Format(time.RFC3339Nano), printable(line.EmittedAt),
						printable(string(line.Kind)), orDash(printable(eventType)), orDash(printable(line.ID)), len(line.Envelope), orDash(line.ReplayOf))
					return err
				})
				if err = errors.Join(err, columns.Flush()); err == nil && more {
					fmt.Fprintf(cmd.ErrOrStderr(), "there are more: --since %s\n", last)
				}
				if err == nil && last.Sequence == 0 {
					return nothingMatches("check the name of the job, and --since")
				}
				return err
			})
		},
	}
	command.Flags().StringVar(&since, "since", "", "only events after this position, EPOCH:SEQUENCE, or 0: from the beginning; empty: the newest ones")
	command.Flags().IntVar(&limit, "limit", 50, fmt.Sprintf("the most events to show, 1 to %d", maxHistory))
	cli.OutputFlag(command, &output)
	return command
}

func historyFlags(jobID, since string, limit int) (after *messaging.Position, err error) {
	if err := messaging.ValidateJobID(jobID); err != nil {
		return nil, cli.Usage(fmt.Errorf("JOB: %w", err))
	}
	if limit < 1 || limit > maxHistory {
		return nil, cli.Usage(fmt.Errorf("--limit is %d: want 1 to %d", limit, maxHistory))
	}
	if since == "" {
		return nil, nil
	}
	position, err := messaging.ParsePosition(since)
	if err != nil {
		return nil, cli.Usage(fmt.Errorf("--since: %w", err))
	}
	return &position, nil
}

func newLogEvent() *cobra.Command {
	var output string
	var query inspect.Query
	command := &cobra.Command{
		Use:   "event [ID]",
		Short: "Show one event's way: received, stored, projected, refused",
		Long: `event finds an event by its producer's id, or by its sequence, and shows when it was
emitted or received, each sequence at which the log has it (a replay into the log adds
one), whether MongoDB has it, the dead letters that name it, and how many follow its job
at this moment. Of a recent event it shows when each gateway stored it, and offered it to
how many clients: gateways keep this in memory for a while (FLIGHT_RECORDER_BYTES).

A search by id reads the whole log; with --job it reads only the events of the job.

It exits with 3 when there is no such event, when it is not in the log but in a dead letter,
or is missing in MongoDB although the projection says that it has been there, and with 1 when MongoDB does
not answer: what the log has is shown nevertheless.`,
		Example: `  realtime log event 01JD3M8Q4Y0V6T2K9F5B7N1C0R --job novel-7
  realtime log event --sequence 1188 -o json`,
		Args: cli.Arguments(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				query.ID = args[0]
			}
			if (query.ID == "") == (query.Sequence == 0) {
				return cli.Usage(errors.New("name an event by its id or by --sequence, and not both"))
			}
			if err := cli.CheckOutput(output); err != nil {
				return err
			}
			return withOperator(cmd.Context(), func(operator *operations.Operator, shown *cli.Progress) error {
				way, err := operator.EventWay(cmd.Context(), query, shown.Report)
				shown.End()
				if err != nil {
					return err
				}
				if err := cli.Render(cmd.OutOrStdout(), output, way, func(w io.Writer) { tableOfWay(w, way) }); err != nil {
					return err
				}
				if way.Unreachable() {
					return errNotAsked
				}
				if !way.Whole() {
					return cli.Differs(errNotWhole)
				}
				return nil
			})
		},
	}
	command.Flags().Uint64Var(&query.Sequence, "sequence", 0, "the event's sequence in the log")
	command.Flags().StringVar(&query.JobID, "job", "", "the event's job, which makes the search shorter")
	cli.OutputFlag(command, &output)
	return command
}

func tableOfWay(w io.Writer, way inspect.Way) {
	fmt.Fprintf(w, "id\t%s\n", orDash(printable(way.ID)))
	for _, s := range way.Stored {
		verb := "received"
		if s.EmittedBy == "worker" {
			verb = "emitted"
		}
		fmt.Fprintf(w, "\n%s\t%s, as the %s says\n", verb, printable(s.EmittedAt), s.EmittedBy)
		fmt.Fprintf(w, "stored\t%s, sequence %d of epoch %s, job %s, kind %s, %d bytes\n",
			s.StoredAt.Format(time.RFC3339Nano), s.Sequence, s.Epoch, printable(s.JobID), printable(string(s.Kind)), s.Bytes)
		if s.ReplayOf != "" {
			fmt.Fprintf(w, "replay of\t%s\n", s.ReplayOf)
		}
		projected := string(s.Projected)
		switch projected {
		case "unknown":
			projected += ": MONGODB_URI is not set"
		case "missing":
			projected += fmt.Sprintf(": MongoDB should have everything up to %d; see realtime projections verify history", s.Floor)
		case "unreachable":
			projected += ": MongoDB cannot be asked: " + printable(s.ProjectedError)
		case "not-yet":
			projected += fmt.Sprintf(": MongoDB has everything up to %d", s.Floor)
		}
		fmt.Fprintf(w, "projected\t%s\n", projected)
		tableOfStages(w, s)
	}
	if len(way.Stored) == 0 {
		fmt.Fprintln(w, "stored\tno")
	}
	for _, l := range way.Letters {
		fmt.Fprintf(w, "\nrefused\t%s, %s: %s; see realtime deadletter show %d\n", l.At.Format(time.RFC3339Nano), l.Reason, printable(l.Detail), l.Letter)
	}
}

// tableOfStages shows what the gateways have recorded of an event, and who follows its job.
func tableOfStages(w io.Writer, s inspect.Stored) {
	follow := fmt.Sprintf("at this moment %d subscriptions at %d gateways follow the job", s.Followers, s.Gateways)
	delivered := false
	for _, stage := range s.Stages {
		fmt.Fprintf(w, "%s\t%s at %s", printable(string(stage.Stage)), stage.At.Format(time.RFC3339Nano), printable(stage.Gateway))
		if stage.Delivery() {
			delivered = true
			fmt.Fprintf(w, ", to %d clients", stage.Receivers)
		}
		if stage.Detail != "" {
			fmt.Fprintf(w, ", %s", printable(stage.Detail))
		}
		if stage.TookSeconds > 0 {
			fmt.Fprintf(w, ", MongoDB took %s", time.Duration(stage.TookSeconds*float64(time.Second)).Round(time.Microsecond))
		}
		if stage.FellBack > 0 {
			fmt.Fprintf(w, "; %d more read it later, because their queues were full", stage.FellBack)
		}
		if stage.Duplicate {
			fmt.Fprint(w, "; the log had it already")
		}
		fmt.Fprintln(w)
	}
	if len(s.Stages) == 0 {
		fmt.Fprintln(w, "recorded\tno gateway has recorded it")
	}
	if s.Unasked > 0 {
		fmt.Fprintf(w, "incomplete\t%d gateways have not answered completely, and may have recorded more\n", s.Unasked)
	}
	if delivered {
		fmt.Fprintf(w, "followed\t%s\n", follow)
	} else {
		fmt.Fprintf(w, "delivered\tnot recorded; %s\n", follow)
	}
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func numberOrDash(n int64) string {
	if n == 0 {
		return "-"
	}
	return strconv.FormatInt(n, 10)
}

func lengthOrDash(seconds float64) string {
	if seconds == 0 {
		return "-"
	}
	return time.Duration(seconds * float64(time.Second)).String()
}
