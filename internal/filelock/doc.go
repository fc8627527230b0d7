// Package filelock takes a file for one process at a time. The kernel gives it
// back with the process, however that ends. Where there is no flock, as outside
// Unix, nothing is held, and two processes on one folder are the operator's to
// prevent.
package filelock

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// maxHolder bounds what is read of a lock file.
const maxHolder = 256

// ErrLocked is returned for a file that another process has taken. A retry helps
// once that has ended.
var ErrLocked = errors.New("taken by another process")

// Lock is a file that was taken.
type Lock struct{ file *os.File }

// Take makes the file if it is not there, and holds it until [Lock.Close]. It writes this
// process and its command into the file, which the error names to others.
func Take(path string) (*Lock, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock file: %w", err)
	}
	if err := lock(file); err != nil {
		if by := holder(file); by != "" && errors.Is(err, ErrLocked) {
			err = fmt.Errorf("%w, %s", err, by)
		}
		_ = file.Close() // nothing was taken, and nothing is lost
		return nil, err
	}
	// On a full disk the lock holds nevertheless.
	if err := file.Truncate(0); err == nil {
		_, _ = file.WriteAt([]byte(self()+"\n"), 0)
	}
	return &Lock{file: file}, nil
}

// Close gives the file back at once: also where a process that is being started has
// it open for a moment yet.
func (l *Lock) Close() error { return errors.Join(unlock(l.file), l.file.Close()) }

// self names this process: its id, its program and the subcommand. Further arguments can
// hold what is secret.
func self() string {
	command := filepath.Base(os.Args[0])
	if len(os.Args) > 1 && !strings.HasPrefix(os.Args[1], "-") {
		command += " " + os.Args[1]
	}
	return fmt.Sprintf("process %d (%.100s)", os.Getpid(), command)
}

// holder returns the first line of a lock file, empty when it is not one of [Take].
func holder(file *os.File) string {
	content, _ := io.ReadAll(io.NewSectionReader(file, 0, maxHolder))
	line, _, _ := strings.Cut(string(content), "\n")
	if !strings.HasPrefix(line, "process ") {
		return ""
	}
	return line
}
