// Package filelock takes a file for one process at a time. The kernel gives it
// back with the process, however that ends. Where there is no flock, as outside
// Unix, nothing is held, and two processes on one folder are the operator's to
// prevent.
package filelock

import (
	"errors"
	"fmt"
	"os"
)

// ErrLocked is returned for a file that another process has taken. A retry helps
// once that has ended.
var ErrLocked = errors.New("taken by another process")

// Lock is a file that was taken.
type Lock struct{ file *os.File }

// Take makes the file if it is not there, and holds it until [Lock.Close].
func Take(path string) (*Lock, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock file: %w", err)
	}
	if err := lock(file); err != nil {
		_ = file.Close() // nothing was taken, and nothing is lost
		return nil, err
	}
	return &Lock{file: file}, nil
}

// Close gives the file back at once: also where a process that is being started has
// it open for a moment yet.
func (l *Lock) Close() error { return errors.Join(unlock(l.file), l.file.Close()) }
