package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/letswriteabook/realtime/internal/cli"
	"github.com/letswriteabook/realtime/messaging"
	"github.com/letswriteabook/realtime/operations"
	"github.com/letswriteabook/realtime/operations/replay"
)

// errUnfit is returned by a replay that could not deliver some events to the target.
var errUnfit = errors.New("some events could not be delivered to the target")

// replayFlags are the flags of a replay.
type replayFlags struct {
	replay.Request
	longestPause time.Duration
	dryRun       bool
	output       string
}

func newReplay() *cobra.Command {
	var flags replayFlags
	command := &cobra.Command{
		Use:   "replay",
		Short: "Send events of the log again: to standard output, a channel, a collection, a job's followers or the log",
		Long: `replay reads events from the log, oldest first, and sends them again. The log and the read
models do not change, unless --into log appends the events to the log again. Events that
are appended during a replay are not part of it.

--into names the target:
  stdout             one line of JSON each, the envelope inside (the default)
  nats:SUBJECT       a NATS subject; {job} after its first word stands for the job's token
  redis:CHANNEL      a Redis channel (REDIS_URL), the envelope as it was published
  collection:NAME    a collection in MongoDB (MONGODB_URI), as in novel_job_events
  job:JOB            those who follow the job now, as events with a mark and without a
                     sequence; without --job it takes the events of that job
  log                the end of the log, as new events, marked as replays

Without --speed or --rate it sends as fast as possible, or into a job at the original pace.
--dry-run reads the selected events and prints their number and the time that sending them
takes; at full speed, without the time of the receiver.

An interruption (Ctrl-C) lets the current event be finished and prints how to continue:
repeat the command with the printed --from and --to. They contain the log's epoch and are
refused once the log has been restored. Into the log, a run with an id (--run) stores each
event once within STREAM_DEDUP_WINDOW, however often it is repeated, and omits the events
that it has appended itself.

It exits with 0 when all events were sent, 1 when something failed or it was interrupted,
2 for wrong usage, 3 when nothing matches or some events could not be sent. The summary goes to
standard output, or with --into stdout to standard error.`,
		Example: `  realtime replay --job novel-7 | jq -c .envelope
  realtime replay --from 2026-03-01T10:00:00Z --to 2026-03-01T11:00:00Z --dry-run
  realtime replay --from 1200 --to 1300 --into log
  realtime replay --kind generation --into nats:audit.{job} --rate 500
  realtime replay --into redis:staging.events --speed 10 --longest-pause 2s
  realtime replay --from 1200 --into job:novel-7 --speed 5
  realtime replay --type chapter.completed --into collection:chapters_completed`,
		Args: cli.Arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return flags.replay(cmd) },
	}
	set := command.Flags()
	set.StringVar(&flags.From, "from", "start", "the first event: start, a sequence, EPOCH:SEQUENCE, or an RFC 3339 time at which the log took the event")
	set.StringVar(&flags.To, "to", "end", "the last event: end, a sequence or EPOCH:SEQUENCE (included), or a time (not included)")
	set.StringArrayVar(&flags.Jobs, "job", nil, "only events of this job; repeatable")
	set.StringArrayVar(&flags.Kinds, "kind", nil, "only events of this kind, such as job-status; repeatable")
	set.StringArrayVar(&flags.Types, "type", nil, "only events whose event.type is this; repeatable")
	set.StringVar(&flags.Into, "into", replay.ToStdout, "the target of the events")
	set.Float64Var(&flags.Speed, "speed", 0, "factor of the pace at which the log took the events; 1: that pace")
	set.Float64Var(&flags.Rate, "rate", 0, "events a second")
	set.DurationVar(&flags.longestPause, "longest-pause", 0, "with --speed: the longest pause; 0: no bound")
	set.StringVar(&flags.Run, "run", "", "id of the run, which each event carries; empty: a new one")
	set.BoolVar(&flags.dryRun, "dry-run", false, "print the number of events and the time they take, and send nothing")
	cli.OutputFlag(command, &flags.output)
	return command
}

// plan returns the target and the plan that the flags describe.
func (f *replayFlags) plan() (replay.Target, replay.Plan, error) {
	f.LongestPauseSeconds = f.longestPause.Seconds()
	target, plan, err := f.Plan()
	if wrong := (replay.FieldError{}); errors.As(err, &wrong) {
		err = fmt.Errorf("--%w", wrong)
	}
	if err != nil {
		return target, plan, cli.Usage(err)
	}
	return target, plan, cli.CheckOutput(f.output)
}

func (f *replayFlags) replay(cmd *cobra.Command) error {
	target, plan, err := f.plan()
	if err != nil {
		return err
	}
	lines := target.Place == replay.ToStdout && !f.dryRun
	summary := cmd.OutOrStdout()
	if lines {
		summary = cmd.ErrOrStderr()
	}
	// A repetition needs the same run, in which the log stores each event once.
	if err := cmd.Flags().Set("run", f.Run); err != nil {
		return err
	}
	return withOperator(cmd.Context(), func(operator *operations.Operator, shown *cli.Progress) error {
		if !lines || !cli.IsTerminal(os.Stdout) { // a progress bar would disturb the lines
			plan.Told = func(done, total uint64) { shown.Report("replay", done, total) }
		}
		result, err := operator.Replay(cmd.Context(), target, f.Run, cli.CommandLine(cmd), plan, f.dryRun, cmd.OutOrStdout())
		shown.End()
		if result.Epoch == "" {
			return err // the replay did not begin
		}
		shownErr := cli.Render(summary, f.output, result, func(w io.Writer) { tableOfReplay(w, result, err) })
		switch {
		case errors.Is(err, replay.ErrNothing), err != nil && f.dryRun:
			return errors.Join(err, shownErr)
		case err != nil:
			return errors.Join(goOn(err, target, result), shownErr)
		case result.Unfit > 0:
			return errors.Join(cli.Differs(fmt.Errorf("%d %w", result.Unfit, errUnfit)), shownErr)
		}
		return shownErr
	})
}

// goOn adds to the error of a replay the command that continues it.
func goOn(err error, target replay.Target, result operations.ReplaySummary) error {
	if errors.Is(err, context.Canceled) {
		err = errors.New("interrupted")
	}
	if result.Next > result.Last {
		return err
	}
	// The position has the epoch, because after a restore the same sequence is another
	// event.
	at := func(sequence uint64) messaging.Position {
		return messaging.Position{Epoch: result.Epoch, Sequence: sequence}
	}
	again := fmt.Sprintf("--from %s --to %s", at(result.Next), at(result.Last))
	if target.Place == replay.ToLog {
		again += " --run " + result.Run
	}
	return fmt.Errorf("%w: to go on, repeat the command with %s", err, again)
}

func tableOfReplay(w io.Writer, r operations.ReplaySummary, err error) {
	done := "handed on"
	switch {
	case errors.Is(err, replay.ErrNothing):
		done = "nothing matches"
	case err != nil && r.DryRun:
		done = "not read to the end"
	case err != nil:
		done = fmt.Sprintf("not complete: repeat it from %d on", r.Next)
	case r.DryRun:
		done = "to hand on"
	case r.Unfit > 0:
		done = "handed on without the unfit"
	}
	if r.Followers != nil {
		done += fmt.Sprintf(", to %d subscriptions at %d gateways", r.Followers.Subscriptions, r.Followers.Gateways)
	}
	fmt.Fprintln(w, "INTO\tFROM\tTO\tEVENTS\tBYTES\tUNFIT\tFIRST\tLAST\tSECONDS\tNEXT\tRUN\tRESULT")
	fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%s\t%s\t%.1f\t%d\t%s\t%s\n",
		r.Into, r.First, r.Last, r.Events, r.Bytes, r.Unfit, timeOrDash(r.FirstAt), timeOrDash(r.LastAt), r.Seconds, r.Next, r.Run, done)
}

func timeOrDash(at *time.Time) string {
	if at == nil {
		return "-"
	}
	return at.Format(time.RFC3339)
}
