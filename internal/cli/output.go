package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

// OutputFlag adds -o to a command.
func OutputFlag(command *cobra.Command, output *string) {
	command.Flags().StringVarP(output, "output", "o", "table", "table or json")
	NotRepeated(command, "output")
}

// CheckOutput returns a usage error if output is neither table nor json.
func CheckOutput(output string) error {
	if output != "table" && output != "json" {
		return Usage(fmt.Errorf("--output is %q: want table or json", output))
	}
	return nil
}

// Render writes a value as JSON, or calls table to write it.
func Render(w io.Writer, output string, value any, table func(io.Writer)) error {
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
