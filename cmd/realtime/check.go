package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/letswriteabook/realtime/internal/cli"
	"github.com/letswriteabook/realtime/internal/client"
	"github.com/letswriteabook/realtime/internal/config"
)

func newCheck() *cobra.Command {
	var (
		length time.Duration
		check  client.Check
		stdin  bool
		output string
	)
	command := &cobra.Command{
		Use:   "check",
		Short: "Report which published events a gateway would refuse, without storing any",
		Long: `check reads what workers publish on the Redis channel for a while, or envelopes from
standard input, one a line, and checks each as a gateway with the same MAX_EVENT_BYTES
and CATALOGUE_FILE does. It publishes and stores nothing.

The exit code is 3 when an event would be refused. Ctrl-C ends the reading and
prints the report.`,
		Example: `  realtime check --for 10m
  realtime check --stdin < events.ndjson`,
		Args: cli.Arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if output != "text" && output != "json" {
				return cli.Usage(fmt.Errorf("--output is %q: want text or json", output))
			}
			if length <= 0 || check.MaxMessages < 0 {
				return cli.Usage(fmt.Errorf("--for is %s and --messages is %d: want more than 0, and 0 or more", length, check.MaxMessages))
			}
			cfg, err := loadConfig()
			if err != nil {
				return err
			}
			if check.Catalogue, err = config.LoadCatalogue(cfg); err != nil {
				return err
			}
			check.MaxEventBytes = cfg.MaxEvent
			var report client.CheckReport
			switch {
			case stdin:
				report, err = client.CheckLines(cmd.Context(), cmd.InOrStdin(), check)
			case cfg.RedisURL == "":
				return fmt.Errorf("%w: REDIS_URL is not set: give it, or --stdin", config.ErrInvalid)
			default:
				ctx, cancel := context.WithTimeout(cmd.Context(), length)
				defer cancel()
				report, err = client.CheckChannel(ctx, cfg.Redis(), check)
			}
			if printErr := printCheck(cmd.OutOrStdout(), report, output); err == nil {
				err = printErr
			}
			if refused := report.Messages - report.Accepted; err == nil && refused > 0 {
				return cli.Differs(fmt.Errorf("%d of %d events would be refused", refused, report.Messages))
			}
			return err
		},
	}
	command.Flags().DurationVar(&length, "for", time.Minute, "how long to read the channel")
	command.Flags().IntVar(&check.MaxMessages, "messages", 0, "end after so many messages; 0: none")
	command.Flags().BoolVar(&stdin, "stdin", false, "judge the lines of standard input in place of the channel")
	command.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	return command
}

// printCheck writes a report.
func printCheck(out io.Writer, report client.CheckReport, output string) error {
	if output == "json" {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(report)
	}
	_, err := fmt.Fprintf(out, "%d events read, %d would be stored; %d of those carry no id, so that nothing confirms them\n",
		report.Messages, report.Accepted, report.WithoutID)
	if err == nil && report.NotCompared > 0 {
		_, err = fmt.Fprintf(out, "%d events had an id that was not compared with later ones: the first 100,000 ids are\n", report.NotCompared)
	}
	for _, refused := range report.Refused {
		if err == nil {
			_, err = fmt.Fprintf(out, "%s: %d\n", refused.Reason, refused.Messages)
		}
		for _, sample := range refused.Samples {
			if err == nil {
				_, err = fmt.Fprintf(out, "  event %d: %s\n    %s\n", sample.Message, sample.Detail, sample.Beginning)
			}
		}
	}
	return err
}
