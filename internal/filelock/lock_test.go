package filelock_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/internal/filelock"
)

func TestTakenOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "LOCK")
	first, err := filelock.Take(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := filelock.Take(path); !errors.Is(err, filelock.ErrLocked) || !strings.Contains(err.Error(), fmt.Sprintf("process %d (filelock.test", os.Getpid())) {
		t.Errorf("taken twice, or the holder is not named: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second, err := filelock.Take(path)
	if err != nil {
		t.Fatal(err)
	}
	_ = second.Close()
}
