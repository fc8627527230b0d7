package cli_test

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/letswriteabook/realtime/internal/cli"
)

// typed returns the arguments that a shell reads from a command line of the program.
func typed(t *testing.T, line string) []string {
	t.Helper()
	out, err := exec.Command("sh", "-c", `realtime() { printf '%s\0' "$@"; }; `+line).Output()
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
}

// A shell reads from a command line the arguments that it was made of.
func TestCommandLineIsQuoted(t *testing.T) {
	t.Parallel()
	root, command := &cobra.Command{Use: "anything"}, &cobra.Command{Use: "replay"}
	root.AddCommand(command)
	for _, arg := range []string{"job-1", "", "two words", `it's "quoted"`, "$HOME `id` \\ *", "--from=2026-01-01T00:00:00Z", "line\nbreak"} {
		if got := typed(t, cli.CommandLine(command, arg)); !slices.Equal(got, []string{"replay", arg}) {
			t.Errorf("%q is read by a shell as %q", arg, got)
		}
	}
}

// repeatable returns a command with a flag of each type.
func repeatable() (root, command *cobra.Command) {
	root, command = &cobra.Command{Use: "realtime"}, &cobra.Command{Use: "do ARG", Run: func(*cobra.Command, []string) {}}
	root.AddCommand(command)
	flags := command.Flags()
	flags.String("text", "default", "")
	flags.Bool("on", false, "")
	flags.Bool("off", true, "")
	flags.Int("count", 0, "")
	flags.Float64("factor", 0, "")
	flags.Duration("pause", time.Second, "")
	flags.StringArray("each", nil, "")
	flags.StringSlice("list", nil, "")
	flags.String("folder", "", "")
	flags.Bool("done", false, "")
	cli.Path(command, "folder")
	cli.NotRepeated(command, "done")
	return root, command
}

// A command line that is parsed again sets the flags to the same values, makes paths
// absolute, and leaves out what is not to be repeated.
func TestCommandLineKeepsFlags(t *testing.T) {
	t.Parallel()
	root, command := repeatable()
	root.SetArgs([]string{
		"do", "arg", "--text", "two words", "--on", "--off=false", "--count=-3", "--factor=0.25", "--pause=1m30s",
		"--each", "a,b", "--each", "it's", "--list", `x,"y,z"`, "--list", "w", "--folder", "here", "--done",
	})
	if err := root.Execute(); err != nil {
		t.Fatal(err)
	}
	line := cli.CommandLine(command, "arg")
	again, repeated := repeatable()
	again.SetArgs(typed(t, line))
	if err := again.Execute(); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	here, err := filepath.Abs("here")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"folder": here, "done": "false"} {
		if got := repeated.Flags().Lookup(name).Value.String(); got != want {
			t.Errorf("%s: --%s is %q, want %q", line, name, got, want)
		}
	}
	for _, name := range []string{"text", "on", "off", "count", "factor", "pause", "each", "list"} {
		got, want := repeated.Flags().Lookup(name).Value.String(), command.Flags().Lookup(name).Value.String()
		if got != want {
			t.Errorf("%s: --%s is %s, want %s", line, name, got, want)
		}
	}
}

// An error about arguments names what the command takes.
func TestArgumentsNameWhatIsAllowed(t *testing.T) {
	t.Parallel()
	nothing := func(*cobra.Command, []string) error { return nil }
	root := &cobra.Command{Use: "tool"}
	group := &cobra.Command{Use: "group", Args: cli.Arguments(cobra.NoArgs), RunE: nothing}
	one := &cobra.Command{Use: "one FOLDER [FILE]", Args: cli.Arguments(cobra.RangeArgs(1, 2)), RunE: nothing}
	group.AddCommand(one, &cobra.Command{Use: "two", RunE: nothing})
	root.AddCommand(group)
	root.SilenceErrors, root.SilenceUsage = true, true
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"group", "one"}, "want tool group one FOLDER [FILE]"},
		{[]string{"group", "three"}, "want one of one, two"},
	} {
		root.SetArgs(test.args)
		if err := root.Execute(); err == nil || !cli.IsUsage(err) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v: %v, want %s", test.args, err, test.want)
		}
	}
}
