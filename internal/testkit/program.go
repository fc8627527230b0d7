package testkit

import (
	"os"
	"os/exec"
	"testing"
)

// Program returns the path of an installed program. If it is not installed, the test is
// skipped, or fails when CI=true.
func Program(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is not installed, and CI=true: %v", name, err)
	}
	t.Skipf("SKIPPED, NOTHING WAS TESTED: %s is not installed: %v", name, err)
	return ""
}
