package processes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// SkewVariable is the environment variable with the number of seconds by which the clock of
// a program of [BuildSkewed] is ahead; a negative number means behind.
const SkewVariable = "CLOCK_SKEW_SECONDS"

// ErrNoSkew is matched if the source of the standard library is missing, or is not as
// [BuildSkewed] expects.
var ErrNoSkew = errors.New("no program with a skewed clock can be built here")

// The place in time.go where the clock is read, and the code that is added there and at the
// end. The time of day of a process cannot be changed from outside: Go reads it from the
// vDSO, which preloaded libraries cannot replace, and time namespaces do not cover it.
const (
	readClock = "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n"
	addSkew   = "\tsec += skewSeconds\n"
	imports   = "\t_ \"unsafe\" // for go:linkname\n"
	readSkew  = `
// skewSeconds is how far this clock is ahead.
var skewSeconds = func() (seconds int64) {
	text, _ := syscall.Getenv("CLOCK_SKEW_SECONDS")
	negative := len(text) > 0 && text[0] == '-'
	for _, digit := range []byte(text) {
		if digit >= '0' && digit <= '9' {
			seconds = seconds*10 + int64(digit-'0')
		}
	}
	if negative {
		return -seconds
	}
	return seconds
}()
`
)

// BuildSkewed builds the service with a time.Now that [SkewVariable] shifts into a folder,
// and returns the program's path. The monotonic clock, and therefore every timer, is
// unchanged. The whole standard library is compiled again for it, once for each machine,
// which takes minutes.
func BuildSkewed(ctx context.Context, root, dir string) (string, error) {
	if root == "" {
		return "", fmt.Errorf("%w: there are no sources", ErrNoSkew)
	}
	said, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrNoSkew, err)
	}
	original := filepath.Join(strings.TrimSpace(string(said)), "src", "time", "time.go")
	source, err := os.ReadFile(original)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrNoSkew, err)
	}
	text := string(source)
	if strings.Count(text, readClock) != 1 || strings.Count(text, imports) != 1 {
		return "", fmt.Errorf("%w: %s reads the clock in another way", ErrNoSkew, original)
	}
	text = strings.Replace(text, readClock, readClock+addSkew, 1)
	text = strings.Replace(text, imports, "\t\"syscall\"\n"+imports, 1) + readSkew
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("folder of the program: %w", err)
	}
	skewed, overlay := filepath.Join(dir, "time.go"), filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(skewed, []byte(text), 0o644); err != nil {
		return "", fmt.Errorf("write the clock: %w", err)
	}
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{original: skewed}})
	if err != nil {
		return "", fmt.Errorf("write the overlay: %w", err)
	}
	if err := os.WriteFile(overlay, replace, 0o644); err != nil {
		return "", fmt.Errorf("write the overlay: %w", err)
	}
	program := filepath.Join(dir, "realtime-skewed")
	command := exec.CommandContext(ctx, "go", "build", "-overlay", overlay, "-o", program, packages["realtime"])
	command.Dir = root
	if said, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build a program with a skewed clock: %w\n%s", err, said)
	}
	return program, nil
}
