package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/eventstore/maintain"
	"github.com/letswriteabook/realtime/internal/cli"
	"github.com/letswriteabook/realtime/internal/config"
	"github.com/letswriteabook/realtime/operations"
)

// changed is what log set prints as JSON.
type changed struct {
	Before  eventstore.Settings `json:"before"`
	After   eventstore.Settings `json:"after"`
	Deletes maintain.Loss       `json:"deletes"`
	// Streams are the streams beside the log whose number of replicas changes.
	Streams []string `json:"streams,omitempty"`
	// Done is false if nothing was changed.
	Done bool `json:"done"`
}

// any reports whether there is something to change.
func (c changed) any() bool { return c.After != c.Before || len(c.Streams) > 0 }

func newLogSet() *cobra.Command {
	var wanted eventstore.Settings
	var by, output string
	var yes, dryRun, history bool
	var recovery time.Duration
	command := &cobra.Command{
		Use:   "set",
		Short: "Change the settings that all gateways share: replicas, size, age, window, sessions",
		Long: `set changes the settings of the log, which gateways adopt: their own STREAM_* settings
and SOCKET_RECOVERY_TTL apply only where a gateway creates the log; a running gateway uses
a new --recovery-ttl after its next start. set shows each old and new value and what the change
deletes, and asks for confirmation; --yes confirms. NOVEL_AUDIT keeps who changed what.

It exits with 0 when the settings are as asked, 1 when something failed or the answer was
no, 2 for wrong usage.`,
		Example: `  realtime log set --max-age 720h --dry-run
  realtime log set --replicas 3 --yes
  realtime log set --history`,
		Args: cli.Arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cli.CheckOutput(output); err != nil {
				return err
			}
			given := cmd.Flags().Changed
			if !history && !given("replicas") && !given("max-bytes") && !given("max-age") && !given("dedup-window") && !given("recovery-ttl") && !given("session-bytes") {
				return cli.Usage(errors.New("nothing to set: give --replicas, --max-bytes, --max-age, --dedup-window, --recovery-ttl or --session-bytes"))
			}
			if err := checkNotNegative(wanted); err != nil {
				return err
			}
			if given("recovery-ttl") && recovery < time.Second {
				return cli.Usage(fmt.Errorf("--recovery-ttl is %s, must be at least 1s", recovery))
			}
			if by == "" {
				return cli.Usage(errors.New("--by is needed: this system does not say who you are"))
			}
			return withOperator(cmd.Context(), func(operator *operations.Operator, _ *cli.Progress) error {
				if history {
					return showChanges(cmd, operator, output)
				}
				before, err := operator.LogSettings(cmd.Context())
				if err != nil {
					return err
				}
				result := changed{Before: before, After: before}
				wanted.SessionTTL = config.SessionTTL(recovery)
				choose(&result.After, wanted, given)
				if result.Deletes, result.Streams, err = operator.ConsiderSettings(cmd.Context(), result.After); err != nil {
					return err
				}
				if !result.any() || dryRun {
					return cli.Render(cmd.OutOrStdout(), output, result, func(w io.Writer) { showChange(w, result) })
				}
				if !yes {
					showChange(cmd.ErrOrStderr(), result)
					if !agreed(cmd.InOrStdin(), cmd.ErrOrStderr()) {
						return errors.New("nothing was changed")
					}
				}
				if err := operator.ChangeSettings(cmd.Context(), by, result.After); err != nil {
					return err
				}
				result.Done = true
				return cli.Render(cmd.OutOrStdout(), output, result, func(w io.Writer) { showChange(w, result) })
			})
		},
	}
	flags := command.Flags()
	flags.IntVar(&wanted.Replicas, "replicas", 0, "servers that hold each event: 1, 3 or 5")
	flags.Int64Var(&wanted.MaxBytes, "max-bytes", 0, "size at which the log refuses new events, in bytes")
	flags.DurationVar(&wanted.MaxAge, "max-age", 0, "age at which the log forgets an event; 0: never")
	flags.DurationVar(&wanted.DuplicateWindow, "dedup-window", 0, "how long the log remembers ids it has stored")
	flags.DurationVar(&recovery, "recovery-ttl", 0, "how long a session can be recovered after its connection was lost, 1s or more")
	flags.Int64Var(&wanted.SessionMaxBytes, "session-bytes", 0, "size of the states of sessions beyond which the oldest go, in bytes")
	flags.StringVar(&by, "by", cli.User(), "who changes the settings")
	flags.BoolVar(&yes, "yes", false, "do not ask")
	flags.BoolVar(&dryRun, "dry-run", false, "show what would change and be deleted, and change nothing")
	flags.BoolVar(&history, "history", false, "show who has changed what")
	cli.OutputFlag(command, &output)
	return command
}

// checkNotNegative returns a usage error that names the flag of a negative setting.
func checkNotNegative(wanted eventstore.Settings) error {
	for _, setting := range []struct {
		flag     string
		negative bool
		value    any
	}{
		{"replicas", wanted.Replicas < 0, wanted.Replicas},
		{"max-bytes", wanted.MaxBytes < 0, wanted.MaxBytes},
		{"max-age", wanted.MaxAge < 0, wanted.MaxAge},
		{"dedup-window", wanted.DuplicateWindow < 0, wanted.DuplicateWindow},
		{"session-bytes", wanted.SessionMaxBytes < 0, wanted.SessionMaxBytes},
	} {
		if setting.negative {
			return cli.Usage(fmt.Errorf("--%s is %v, must be 0 or more", setting.flag, setting.value))
		}
	}
	return nil
}

// choose replaces the settings whose flags were given.
func choose(settings *eventstore.Settings, wanted eventstore.Settings, given func(string) bool) {
	if given("replicas") {
		settings.Replicas = wanted.Replicas
	}
	if given("max-bytes") {
		settings.MaxBytes = wanted.MaxBytes
	}
	if given("max-age") {
		settings.MaxAge = wanted.MaxAge
	}
	if given("dedup-window") {
		settings.DuplicateWindow = wanted.DuplicateWindow
	}
	if given("recovery-ttl") {
		settings.SessionTTL = wanted.SessionTTL
	}
	if given("session-bytes") {
		settings.SessionMaxBytes = wanted.SessionMaxBytes
	}
}

// setting is one setting before and after a change.
type setting struct {
	name          string
	before, after any
}

// differing returns the settings that differ, named by their flags.
func differing(before, after eventstore.Settings) []setting {
	return slices.DeleteFunc([]setting{
		{"replicas", before.Replicas, after.Replicas},
		{"max-bytes", before.MaxBytes, after.MaxBytes},
		{"max-age", before.MaxAge, after.MaxAge},
		{"dedup-window", before.DuplicateWindow, after.DuplicateWindow},
		{"recovery-ttl", config.RecoveryTTL(before.SessionTTL), config.RecoveryTTL(after.SessionTTL)},
		{"session-bytes", before.SessionMaxBytes, after.SessionMaxBytes},
	}, func(s setting) bool { return s.before == s.after })
}

func showChange(w io.Writer, c changed) {
	for _, s := range differing(c.Before, c.After) {
		fmt.Fprintf(w, "%s\t%v → %v\n", s.name, s.before, s.after)
	}
	if len(c.Streams) > 0 {
		fmt.Fprintf(w, "replicas of %s\t→ %d\n", strings.Join(c.Streams, ", "), c.After.Replicas)
	}
	sessions := c.After.SessionTTL < c.Before.SessionTTL || c.After.SessionMaxBytes < c.Before.SessionMaxBytes
	switch {
	case !c.any():
		fmt.Fprintln(w, "the log has these settings already")
		return
	case c.Deletes.Through > 0:
		fmt.Fprintf(w, "deletes\tup to %d events, through sequence %d: they are older than %s\n", c.Deletes.Events, c.Deletes.Through, c.After.MaxAge)
	}
	if c.Deletes.Bytes > 0 {
		fmt.Fprintf(w, "deletes\tthe oldest events, %d bytes of them: the log is larger than %d bytes\n", c.Deletes.Bytes, c.After.MaxBytes)
	}
	if sessions {
		fmt.Fprintln(w, "deletes\tstates of sessions, those that were saved longest ago: they cannot be recovered")
	}
	if !c.Deletes.Any() && !sessions {
		fmt.Fprintln(w, "deletes\tnothing")
	}
	if c.Done {
		fmt.Fprintln(w, "done")
	}
}

// agreed asks for confirmation, and reports whether the answer was yes.
func agreed(in io.Reader, out io.Writer) bool {
	fmt.Fprint(out, "change the log? [y/N] ")
	answer, _ := bufio.NewReader(io.LimitReader(in, 64)).ReadString('\n')
	answer = strings.ToLower(strings.TrimSpace(answer))
	return answer == "y" || answer == "yes"
}

func showChanges(cmd *cobra.Command, operator *operations.Operator, output string) error {
	changes, err := operator.SettingsChanges(cmd.Context())
	if err != nil {
		return err
	}
	if changes == nil {
		changes = []maintain.Change{}
	}
	return cli.Render(cmd.OutOrStdout(), output, changes, func(w io.Writer) {
		fmt.Fprintln(w, "AT\tBY\tOUTCOME\tCHANGE")
		for _, c := range changes {
			outcome, change := string(c.Outcome), "replicas of the streams beside the log"
			if c.Error != "" {
				outcome += ": " + printable(c.Error)
			}
			for i, s := range differing(c.Before, c.After) {
				if change += ", "; i == 0 {
					change = ""
				}
				change += fmt.Sprintf("%s %v → %v", s.name, s.before, s.after)
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", c.At.Format(time.RFC3339), printable(c.By), outcome, change)
		}
	})
}
