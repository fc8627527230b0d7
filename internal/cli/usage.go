package cli

import (
	"errors"
	"fmt"
	"os/user"
	"strings"

	"github.com/spf13/cobra"
)

// usageError is an error in the use of a command.
type usageError struct{ error }

func (e usageError) Error() string { return e.error.Error() + " (see --help)" }

// Unwrap returns the cause.
func (e usageError) Unwrap() error { return e.error }

// Usage marks err as an error in the use of a command: the program exits with 2.
func Usage(err error) error { return usageError{err} }

// IsUsage reports whether an error was marked by [Usage].
func IsUsage(err error) bool { return errors.As(err, new(usageError)) }

// Arguments marks the errors of a check of the arguments as usage errors, and adds what the
// command takes.
func Arguments(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return Usage(fmt.Errorf("%w: want %s", err, takes(cmd)))
		}
		return nil
	}
}

// takes returns the names of the commands below a command, or the arguments of one that has
// none.
func takes(cmd *cobra.Command) string {
	var below []string
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			below = append(below, sub.Name())
		}
	}
	if len(below) > 0 {
		return "one of " + strings.Join(below, ", ")
	}
	_, arguments, _ := strings.Cut(cmd.Use, " ")
	return strings.TrimSpace(cmd.CommandPath() + " " + arguments)
}

// differsError is the error of a command that worked and found differences.
type differsError struct{ error }

// Differs marks the error of a command that worked and whose comparison or test found a
// difference: the program exits with 3.
func Differs(err error) error { return differsError{err} }

// IsDiffers reports whether an error was marked by [Differs].
func IsDiffers(err error) bool { return errors.As(err, new(differsError)) }

// User returns the name of the user that runs the command, empty if that is unknown.
func User() string {
	current, err := user.Current()
	if err != nil {
		return ""
	}
	return current.Username
}
