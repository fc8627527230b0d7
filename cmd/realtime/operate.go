package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/letswriteabook/realtime/internal/server"
)

// differsError ends a command with its own exit code: it worked, and what it
// compared differs.
type differsError struct{ error }

// nothingMatches ends a command that has found nothing of what it was asked for, as a rule
// because a name is mistyped: with status 3, as every command that finds not what is
// expected. look says at what to look.
func nothingMatches(look string) error { return differsError{fmt.Errorf("nothing matches: %s", look)} }

// withOperator calls f with the log and the read models, and tells how it goes. The first
// line on standard error names the log.
func withOperator(ctx context.Context, f func(*server.Operator, *progress) error) error {
	return withLog(ctx, false, f)
}

// withLog is [withOperator]; with create it makes a log where there is none.
func withLog(ctx context.Context, create bool, f func(*server.Operator, *progress) error) error {
	cfg, err := loadConfig()
	if err != nil {
		return err
	}
	if cfg.LogLevel == "info" {
		cfg.LogLevel = "warn" // What the command has to say it prints.
	}
	operator, err := server.OpenOperator(ctx, cfg, create, server.NewLogger(os.Stderr, cfg))
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "log:", operator.Where(ctx))
	shown := newProgress()
	err = f(operator, shown)
	shown.end()
	return errors.Join(err, operator.Close())
}

// outputFlag adds -o to a command.
func outputFlag(command *cobra.Command, output *string) {
	command.Flags().StringVarP(output, "output", "o", "table", "table or json")
}

func checkOutput(output string) error {
	if output != "table" && output != "json" {
		return usageError{fmt.Errorf("--output is %q: want table or json", output)}
	}
	return nil
}

// render writes a value as JSON, or what table writes.
func render(w io.Writer, output string, value any, table func(io.Writer)) error {
	if output == "json" {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		return encoder.Encode(value)
	}
	columns := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	table(columns)
	return columns.Flush()
}
