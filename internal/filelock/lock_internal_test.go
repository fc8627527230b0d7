//go:build unix

package filelock

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// A child that is between its fork and its exec has the file open, too. It does not
// hold the lock.
func TestGivenBackAlthoughAnotherHasItOpen(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "LOCK")
	first, err := Take(path)
	if err != nil {
		t.Fatal(err)
	}
	copied, err := syscall.Dup(int(first.file.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	inherited := os.NewFile(uintptr(copied), path)
	defer func() { _ = inherited.Close() }()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second, err := Take(path)
	if err != nil {
		t.Fatal(err)
	}
	_ = second.Close()
}
