package e2e_test

import (
	"errors"
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

// binaries is where the program is built, for the life of this test process.
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

// build makes the program the first time a test asks for it.
var build = sync.OnceValues(func() (string, error) {
	path := filepath.Join(binaries, "realtime")
	args := []string{"build", "-o", path}
	if raceDetector {
		args = append(args, "-race")
	}
	output, err := exec.Command("go", append(args, "../../cmd/realtime")...).CombinedOutput()
	if err != nil {
		return "", errors.Join(fmt.Errorf("build cmd/realtime: %w", err), errors.New(string(output)))
	}
	return path, nil
})

// realtime returns the path of the program under test.
func realtime(t testing.TB) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}
