package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience is how long a test waits for one thing to happen before it says
// that it did not. Nothing here takes that long; a loaded machine may.
const patience = 60 * time.Second

// binaries is where the programs are built, for the life of this test process.
var binaries string

func TestMain(m *testing.M) {
	var err error
	if binaries, err = os.MkdirTemp("", "realtime-e2e-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if err := os.RemoveAll(binaries); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
		os.Exit(code)
	}))
}

// programs are built the first time a test asks for them.
var programs = map[string]func() error{
	"realtime":     sync.OnceValue(func() error { return compile("realtime") }),
	"realtime-lab": sync.OnceValue(func() error { return compile("realtime-lab") }),
	"realtime-dev": sync.OnceValue(func() error { return compile("realtime-dev") }),
}

// build returns the path of one of the programs.
func build(t testing.TB, name string) string {
	t.Helper()
	if err := programs[name](); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(binaries, name)
}

func compile(name string) error {
	args := []string{"build", "-o", binaries}
	if raceDetector {
		args = append(args, "-race")
	}
	output, err := exec.Command("go", append(args, "../../cmd/"+name)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("build cmd/%s: %w\n%s", name, err, output)
	}
	return nil
}
