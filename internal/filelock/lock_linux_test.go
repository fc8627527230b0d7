package filelock_test

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/letswriteabook/realtime/internal/filelock"
)

// A child that is between its fork and its exec has the file open, too. It does not
// hold the lock.
func TestGivenBackAlthoughAnotherHasItOpen(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "LOCK")
	first, err := filelock.Take(path)
	if err != nil {
		t.Fatal(err)
	}
	copied, err := syscall.Dup(descriptorOf(t, path))
	if err != nil {
		t.Fatal(err)
	}
	inherited := os.NewFile(uintptr(copied), path)
	defer func() { _ = inherited.Close() }()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second, err := filelock.Take(path)
	if err != nil {
		t.Fatal(err)
	}
	_ = second.Close()
}

// descriptorOf returns the descriptor under which this process has a file open.
func descriptorOf(t *testing.T, path string) int {
	t.Helper()
	const folder = "/proc/self/fd"
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if target, err := os.Readlink(filepath.Join(folder, entry.Name())); err == nil && target == path {
			descriptor, err := strconv.Atoi(entry.Name())
			if err != nil {
				t.Fatal(err)
			}
			return descriptor
		}
	}
	t.Fatalf("%s is not open", path)
	return 0
}
