//go:build !unix

package natsserver

import (
	"fmt"
	"os"
	"path/filepath"
)

// lockFolder opens the lock file. Without flock, running two servers on one
// folder is the operator's to prevent.
func lockFolder(dir string) (*os.File, error) {
	file, err := os.OpenFile(filepath.Join(dir, "LOCK"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock file: %w", err)
	}
	return file, nil
}
