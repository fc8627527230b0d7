package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/letswriteabook/realtime/eventstore/maintain"
	"github.com/letswriteabook/realtime/internal/cli"
	"github.com/letswriteabook/realtime/messaging"
	"github.com/letswriteabook/realtime/operations"
	"github.com/letswriteabook/realtime/operations/deadletters"
)

// errRefusedAgain is returned by a redrive that left letters behind.
var errRefusedAgain = errors.New("letters were refused again and stay")

func newDeadLetter() *cobra.Command {
	command := &cobra.Command{
		Use:   "deadletter",
		Short: "Show refused events, send them again, or remove them",
		Long: `deadletter works on the events that were refused, which are kept with their raw bytes.

Its commands exit with 0 on success, 1 after a failure, 2 for wrong usage, and 3 when a
letter does not exist, a job has no letters, redrive or purge select letters and none
matches, or redrive had letters refused again.`,
		Args: cli.Arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	command.AddCommand(newLetterList(), newLetterShow(), newLetterRedrive(), newLetterPurge())
	return command
}

// progressAfter is the number of letters after which the commands show their progress.
const progressAfter = 1000

// letterFlags are the flags of a filter.
type letterFlags struct {
	reasons      []string
	jobID        string
	since, until string
	limit        int
}

func (f *letterFlags) add(command *cobra.Command, limit int) {
	flags := command.Flags()
	flags.StringSliceVar(&f.reasons, "reason", nil, "only those refused for this reason, such as schema-violation; repeatable")
	flags.StringVar(&f.jobID, "job", "", "only those that name this job")
	flags.StringVar(&f.since, "since", "", "only those refused at or after this RFC 3339 time")
	flags.StringVar(&f.until, "until", "", "only those refused before this RFC 3339 time")
	flags.IntVar(&f.limit, "limit", limit, "at most so many, the oldest first; 0: all")
}

// noneMatches is the advice of commands that match no letter.
const noneMatches = "there is no such letter; check the flags and arguments, and see realtime deadletter list"

// unmatched returns an error if a filter that selects letters to change has matched none.
// Without a selection, no letters are a success.
func unmatched(filter deadletters.Filter, found int) error {
	filter.Limit = 0 // selects no letter
	if found > 0 || filter.Empty() {
		return nil
	}
	return nothingMatches(noneMatches)
}

// missing is [unmatched] for commands that only show letters: there it is a success if no
// letter has a reason or a time.
func missing(filter deadletters.Filter, found int) error {
	if found > 0 || len(filter.Sequences) == 0 && filter.JobID == "" {
		return nil
	}
	return nothingMatches(noneMatches)
}

// filter reads the flags, and sequences given as arguments.
func (f *letterFlags) filter(args []string) (deadletters.Filter, error) {
	filter := deadletters.Filter{JobID: f.jobID, Limit: f.limit}
	for _, reason := range f.reasons {
		filter.Reasons = append(filter.Reasons, messaging.Reason(reason))
	}
	if err := filter.Validate(); err != nil {
		return filter, cli.Usage(fmt.Errorf("--reason: %w", err))
	}
	if f.limit < 0 {
		return filter, cli.Usage(fmt.Errorf("--limit is %d: want 0 or more", f.limit))
	}
	for _, bound := range []struct {
		flag, text string
		into       *time.Time
	}{{"since", f.since, &filter.Since}, {"until", f.until, &filter.Until}} {
		if bound.text == "" {
			continue
		}
		at, err := time.Parse(time.RFC3339, bound.text)
		if err != nil {
			return filter, cli.Usage(fmt.Errorf("--%s is %q: want an RFC 3339 time such as 2026-03-01T10:00:00Z", bound.flag, bound.text))
		}
		*bound.into = at
	}
	for _, arg := range args {
		sequence, err := strconv.ParseUint(arg, 10, 64)
		if err != nil {
			return filter, cli.Usage(fmt.Errorf("letter %q: want the number in the list", arg))
		}
		filter.Sequences = append(filter.Sequences, sequence)
	}
	return filter, nil
}

// withLetters calls f with the dead letters.
func withLetters(ctx context.Context, f func(*operations.Letters, *cli.Progress) error) error {
	return withOperator(ctx, func(operator *operations.Operator, shown *cli.Progress) error {
		letters, err := operator.Letters(ctx)
		if err != nil {
			return err
		}
		return f(letters, shown)
	})
}

// letterRow is a letter as the list shows it.
type letterRow struct {
	Sequence uint64           `json:"sequence"`
	At       time.Time        `json:"at"`
	Reason   messaging.Reason `json:"reason"`
	JobID    string           `json:"jobId,omitempty"`
	Bytes    int              `json:"bytes"`
	Source   string           `json:"source"`
	Detail   string           `json:"detail"`
	// Body is the raw bytes as text or, if they are not text, BodyBase64 in base64. Only
	// show fills them.
	Body       string `json:"body,omitempty"`
	BodyBase64 []byte `json:"bodyBase64,omitempty"`
}

func rowOf(letter maintain.Letter, body bool) letterRow {
	row := letterRow{
		Sequence: letter.Sequence, At: letter.At, Reason: letter.Reason, JobID: deadletters.JobOf(letter.Body),
		Bytes: letter.BodyBytes, Source: letter.Source, Detail: letter.Detail,
	}
	switch {
	case !body:
	case utf8.Valid(letter.Body):
		row.Body = string(letter.Body)
	default:
		row.BodyBase64 = letter.Body
	}
	return row
}

func newLetterList() *cobra.Command {
	var flags letterFlags
	var output string
	command := &cobra.Command{
		Use:   "list",
		Short: "List refused events, the oldest first",
		Example: `  realtime deadletter list
  realtime deadletter list --reason schema-violation --job novel-7 -o json`,
		Args: cli.Arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			filter, err := flags.filter(nil)
			if err = errors.Join(err, cli.CheckOutput(output)); err != nil {
				return err
			}
			return withLetters(cmd.Context(), func(letters *operations.Letters, shown *cli.Progress) error {
				rows := newRows(cmd.OutOrStdout(), output, "LETTER\tREFUSED\tREASON\tJOB\tBYTES\tSOURCE\tDETAIL")
				err := letters.Each(cmd.Context(), filter, func(letter maintain.Letter) error {
					if rows.count >= progressAfter && !cli.IsTerminal(os.Stdout) { // a progress bar would disturb the lines
						shown.Report("list letters", uint64(rows.count), 0)
					}
					row := rowOf(letter, false)
					return rows.add(row, "%d\t%s\t%s\t%s\t%d\t%s\t%s", row.Sequence, row.At.Format(time.RFC3339), row.Reason, printable(row.JobID), row.Bytes, row.Source, row.Detail)
				})
				if err = errors.Join(err, rows.end()); err != nil {
					return err
				}
				return missing(filter, rows.count)
			})
		},
	}
	flags.add(command, 100)
	cli.OutputFlag(command, &output)
	return command
}

// printable returns text of a client for a terminal, quoted if it has anything except plain
// characters.
func printable(text string) string {
	if quoted := strconv.QuoteToGraphic(text); quoted != `"`+text+`"` {
		return quoted
	}
	return text
}

func newLetterShow() *cobra.Command {
	var raw bool
	var output string
	command := &cobra.Command{
		Use:   "show LETTER",
		Short: "Show one refused event with its bytes",
		Example: `  realtime deadletter show 12
  realtime deadletter show 12 --raw > event.json`,
		Args: cli.Arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			filter, err := new(letterFlags).filter(args)
			if err = errors.Join(err, cli.CheckOutput(output)); err != nil {
				return err
			}
			var found *maintain.Letter
			err = withLetters(cmd.Context(), func(letters *operations.Letters, _ *cli.Progress) error {
				return letters.Each(cmd.Context(), filter, func(letter maintain.Letter) error {
					found = &letter
					return nil
				})
			})
			switch {
			case err != nil:
				return err
			case found == nil:
				return missing(filter, 0)
			case raw:
				_, err := cli.Unescaped(cmd.OutOrStdout()).Write(found.Body)
				return err
			}
			row := rowOf(*found, true)
			return cli.Render(cmd.OutOrStdout(), output, row, func(w io.Writer) {
				fmt.Fprintf(w, "letter\t%d\nrefused\t%s\nreason\t%s\ndetail\t%s\nsource\t%s\njob\t%s\nbytes\t%d\n\n%s\n",
					row.Sequence, row.At.Format(time.RFC3339Nano), row.Reason, row.Detail, row.Source, printable(row.JobID), row.Bytes, strconv.QuoteToGraphic(string(found.Body)))
			})
		},
	}
	command.Flags().BoolVar(&raw, "raw", false, "write only the bytes, as they were received")
	cli.OutputFlag(command, &output)
	return command
}

func newLetterRedrive() *cobra.Command {
	var flags letterFlags
	var dryRun bool
	var output string
	command := &cobra.Command{
		Use:   "redrive [LETTER…]",
		Short: "Send refused events again that are acceptable now",
		Long: `redrive checks each letter again, with the present CATALOGUE_FILE and limits,
stores what is acceptable now, in the order in which it was refused, and removes the
letter. A letter that is refused again stays. It may be interrupted and repeated: an
event is stored once, for as long as the log remembers ids (STREAM_DEDUP_WINDOW).

It exits with 3 when letters were refused again, or arguments or flags select letters and
none matches.`,
		Example: `  realtime deadletter redrive --reason unknown-kind --dry-run
  CATALOGUE_FILE=kinds.json realtime deadletter redrive --reason unknown-kind
  realtime deadletter redrive 12 13`,
		Args: cli.Arguments(cobra.ArbitraryArgs),
		RunE: func(cmd *cobra.Command, args []string) error {
			filter, err := flags.filter(args)
			if err = errors.Join(err, cli.CheckOutput(output)); err != nil {
				return err
			}
			outcomes, refused := []deadletters.Outcome{}, 0
			err = withLetters(cmd.Context(), func(letters *operations.Letters, shown *cli.Progress) error {
				return letters.Redrive(cmd.Context(), filter, dryRun, func(outcome deadletters.Outcome) error {
					if len(outcomes) >= progressAfter {
						shown.Report("redrive letters", uint64(len(outcomes)), 0)
					}
					if outcomes = append(outcomes, outcome); outcome.Refused != "" {
						refused++
					}
					return nil
				})
			})
			shown := cli.Render(cmd.OutOrStdout(), output, outcomes, func(w io.Writer) {
				fmt.Fprintln(w, "LETTER\tJOB\tSEQUENCE\tOUTCOME")
				for _, o := range outcomes {
					fmt.Fprintf(w, "%d\t%s\t%d\t%s\n", o.Sequence, printable(o.JobID), o.Stored, outcomeText(o, dryRun))
				}
			})
			if err = errors.Join(err, shown); err == nil && refused > 0 {
				err = cli.Differs(fmt.Errorf("%d %w", refused, errRefusedAgain))
			}
			if err == nil {
				err = unmatched(filter, len(outcomes))
			}
			return err
		},
	}
	flags.add(command, 0)
	command.Flags().BoolVar(&dryRun, "dry-run", false, "check, and store and remove nothing")
	cli.OutputFlag(command, &output)
	return command
}

func outcomeText(o deadletters.Outcome, dryRun bool) string {
	switch {
	case o.Refused != "":
		return "refused again: " + o.Refused
	case dryRun:
		return "acceptable now"
	case o.Duplicate:
		return "the log had it already"
	}
	return "stored"
}

func newLetterPurge() *cobra.Command {
	var flags letterFlags
	var all, dryRun bool
	command := &cobra.Command{
		Use:   "purge [LETTER…]",
		Short: "Remove refused events permanently",
		Long: `purge removes the letters that the arguments name or the flags select; to remove all, give
--all. It exits with 3 when arguments or flags select letters and none matches.`,
		Example: `  realtime deadletter purge --until 2026-03-01T00:00:00Z --dry-run
  realtime deadletter purge 12 13`,
		Args: cli.Arguments(cobra.ArbitraryArgs),
		RunE: func(cmd *cobra.Command, args []string) error {
			filter, err := flags.filter(args)
			if err != nil {
				return err
			}
			if filter.Empty() != all {
				return cli.Usage(errors.New("name letters, select them with flags, or give --all, but not both"))
			}
			return withLetters(cmd.Context(), func(letters *operations.Letters, shown *cli.Progress) error {
				count, err := letters.Purge(cmd.Context(), filter, dryRun, func(count int) {
					if count >= progressAfter {
						shown.Report("purge letters", uint64(count), 0)
					}
				})
				shown.End()
				verb := "removed"
				if dryRun {
					verb = "would remove"
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s %d letters\n", verb, count)
				if err != nil {
					return err
				}
				return unmatched(filter, count)
			})
		},
	}
	flags.add(command, 0)
	command.Flags().BoolVar(&all, "all", false, "remove every letter")
	command.Flags().BoolVar(&dryRun, "dry-run", false, "count, and remove nothing")
	return command
}
