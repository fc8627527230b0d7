//go:build unix

package natsserver

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// lockFolder takes the folder for this process until the file is closed. The
// kernel drops the lock with the process, however it ends.
func lockFolder(dir string) (*os.File, error) {
	path := filepath.Join(dir, "LOCK")
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock file: %w", err)
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return file, nil
	}
	_ = file.Close() // The lock was not taken; there is nothing to lose.
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, fmt.Errorf("%w: %s", ErrFolderInUse, path)
	}
	return nil, fmt.Errorf("lock %s: %w", path, err)
}
