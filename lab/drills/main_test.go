package drills_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/letswriteabook/realtime/lab/processes"
)

// binaries is where the programs are built, the first time a test asks for them.
var binaries string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "drills")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binaries = dir
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if err := os.RemoveAll(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
		os.Exit(code)
	}))
}

var built = sync.OnceValues(func() (processes.Programs, error) { return processes.Build(context.Background(), ".", binaries) })

// executable returns realtime, with the other programs beside it, or skips the test.
func executable(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("builds the programs")
	}
	programs, err := built()
	if errors.Is(err, processes.ErrNoProgram) && os.Getenv("CI") != "true" {
		t.Skipf("SKIPPED, NOTHING WAS TESTED: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return programs.Realtime
}
