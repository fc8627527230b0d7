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

	"github.com/letswriteabook/realtime/internal/app"
)

// differsError ends a command with its own exit code: it worked, and what it
// compared differs.
type differsError struct{ error }

// withOperator calls f with the log and the read models, and tells how it goes.
func withOperator(ctx context.Context, f func(*app.Operator, *progress) error) error {
	cfg, err := loadConfig()
	if err != nil {
		return err
	}
	if cfg.LogLevel == "info" {
		cfg.LogLevel = "warn" // What the command has to say it prints.
	}
	operator, err := app.OpenOperator(ctx, cfg, app.NewLogger(os.Stderr, cfg))
	if err != nil {
		return err
	}
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
