package operations_test

import (
	"os/exec"
	"testing"

	"github.com/letswriteabook/realtime/operations"
)

// A shell reads from a command line the arguments that it was made of.
func TestCommandLine(t *testing.T) {
	t.Parallel()
	for _, arg := range []string{"job-1", "", "two words", `it's "quoted"`, "$HOME `id` \\ *", "--from=2026-01-01T00:00:00Z", "line\nbreak"} {
		line := operations.CommandLine("replay", arg)
		out, err := exec.Command("sh", "-c", `realtime() { printf '%s|' "$@"; }; `+line).Output()
		if err != nil || string(out) != "replay|"+arg+"|" {
			t.Errorf("%q is typed as %s, which a shell reads as %q, %v", arg, line, out, err)
		}
	}
}
