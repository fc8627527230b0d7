package testkit

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// CheckExamples parses each line of the examples in the help of a command and of those below
// it: the line has to name one of them, with flags and arguments that it takes. CheckExamples
// runs nothing, and calls newRoot for each line.
func CheckExamples(t *testing.T, newRoot func() *cobra.Command) {
	t.Helper()
	var each func(command *cobra.Command)
	each = func(command *cobra.Command) {
		for _, sub := range command.Commands() {
			each(sub)
		}
		for _, line := range ExampleLines(command.Example) {
			if err := checkExample(newRoot(), line); err != nil {
				t.Errorf("the help of %s has the example %q: %v", command.CommandPath(), line, err)
			}
		}
	}
	each(newRoot())
}

// ExampleLines returns the commands of the text of an example, without comments.
func ExampleLines(text string) (lines []string) {
	for line := range strings.SplitSeq(strings.ReplaceAll(text, "\\\n", " "), "\n") {
		line, _, _ = strings.Cut(line, " # ")
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return lines
}

// checkExample parses one line.
func checkExample(root *cobra.Command, line string) error {
	words, err := shellWords(line)
	if err != nil {
		return err
	}
	for len(words) > 0 && strings.Contains(words[0], "=") { // settings
		words = words[1:]
	}
	if len(words) > 2 && words[0] == "go" && words[1] == "run" {
		words = append([]string{strings.TrimPrefix(words[2], "./cmd/")}, words[3:]...)
	}
	if len(words) == 0 || words[0] != root.Name() {
		return fmt.Errorf("it does not run %s", root.Name())
	}
	command, args, err := root.Find(words[1:])
	if err != nil {
		return err
	}
	if command.DisableFlagParsing {
		return fmt.Errorf("%s is not offered any more", command.CommandPath())
	}
	if err := command.ParseFlags(args); err != nil {
		return err
	}
	if err := command.ValidateArgs(command.Flags().Args()); err != nil {
		return err
	}
	return command.ValidateFlagGroups()
}

// shellWords returns the words of the first command of a line up to a pipe or a redirection.
// It takes quotes and no other syntax of shells.
func shellWords(line string) (words []string, err error) {
	var word strings.Builder
	quote, begun := rune(0), false
	end := func() {
		if begun {
			words = append(words, word.String())
		}
		word.Reset()
		begun = false
	}
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote, begun = r, true
		case slices.Contains([]rune{'|', '<', '>', ';', '&'}, r):
			end()
			return words, nil
		case r == ' ':
			end()
		default:
			word.WriteRune(r)
			begun = true
		}
	}
	if quote != 0 {
		return nil, errors.New("a quote is not closed")
	}
	end()
	return words, nil
}
