// Package filelock takes a file for one process at a time, and says in the file which
// process has it. The lock is that of github.com/gofrs/flock: the operating system
// releases it when the process ends, however it ends.
package filelock

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/gofrs/flock"
)

// maxHolder bounds what is read of a lock file, in bytes.
const maxHolder = 256

// ErrLocked is returned for a file that another process has taken. A retry helps
// once that process has ended.
var ErrLocked = errors.New("taken by another process")

// Lock is a file that was taken.
type Lock struct{ file *flock.Flock }

// Take creates the file if it does not exist, and holds it until [Lock.Close]. It writes
// this process and its command into the file; the error of another process that tries to
// take it contains them.
func Take(path string) (*Lock, error) {
	file := flock.New(path, flock.SetPermissions(0o600))
	taken, err := file.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	if !taken {
		err := fmt.Errorf("%w: %s", ErrLocked, path)
		if by := holder(path); by != "" {
			err = fmt.Errorf("%w, %s", err, by)
		}
		return nil, err
	}
	// The lock holds on a full disk too.
	_ = os.WriteFile(path, []byte(self()+"\n"), 0o600)
	return &Lock{file}, nil
}

// Close releases the file at once, even while a child between its fork and its exec has
// it open.
func (l *Lock) Close() error { return l.file.Unlock() }

// self names this process: its id, its program and the subcommand. Further arguments can
// hold what is secret.
func self() string {
	command := filepath.Base(os.Args[0])
	if len(os.Args) > 1 && !strings.HasPrefix(os.Args[1], "-") {
		command += " " + os.Args[1]
	}
	return fmt.Sprintf("process %d (%.100s)", os.Getpid(), command)
}

// holder returns the first line of a lock file, and nothing if [Take] did not write it.
func holder(path string) string {
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer func() { _ = file.Close() }() // it was only read
	content, _ := io.ReadAll(io.LimitReader(file, maxHolder))
	line, _, _ := strings.Cut(string(content), "\n")
	if !strings.HasPrefix(line, "process ") {
		return ""
	}
	return line
}
