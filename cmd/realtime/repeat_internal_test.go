package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/letswriteabook/realtime/internal/cli"
)

// leftOut are the flags without which an operation is repeated: the form of the result,
// and what the interrupted run has done already.
var leftOut = []string{"help", "output", "restart"}

// The command that is listed of an interrupted operation has every flag of it. The test
// goes over all commands, those of operations among them.
func TestCommandLinesHaveAllFlags(t *testing.T) {
	t.Parallel()
	var each func(command *cobra.Command)
	each = func(command *cobra.Command) {
		for _, sub := range command.Commands() {
			each(sub)
		}
		if command.DisableFlagParsing || !command.Runnable() {
			return
		}
		command.Flags().VisitAll(func(flag *pflag.Flag) {
			if err := command.Flags().Set(flag.Name, sample(flag)); err != nil {
				t.Fatalf("%s --%s: %v", command.CommandPath(), flag.Name, err)
			}
		})
		line := cli.CommandLine(command)
		command.Flags().VisitAll(func(flag *pflag.Flag) {
			if !slices.Contains(strings.Fields(line), "--"+flag.Name) && !slices.Contains(leftOut, flag.Name) {
				t.Errorf("%s: --%s is not in %q", command.CommandPath(), flag.Name, line)
			}
		})
	}
	each(newRoot())
}

// sample returns a value that a flag takes.
func sample(flag *pflag.Flag) string {
	switch flag.Value.Type() {
	case "bool":
		return "true"
	case "duration":
		return "7s"
	case "int", "int64", "uint64", "float64", "uint":
		return "7"
	}
	return "two words"
}
