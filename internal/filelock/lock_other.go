//go:build !unix

package filelock

import (
	"fmt"
	"os"
)

// Take opens the file, and holds nothing.
func Take(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock file: %w", err)
	}
	return file, nil
}
