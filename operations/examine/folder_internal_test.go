package examine

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/letswriteabook/realtime/internal/filelock"
	"github.com/letswriteabook/realtime/internal/natsserver"
)

// TestFolderThatNoGatewayCouldUse: the folder of the log is checked for what a start needs
// also where it exists, and not while a gateway runs on it.
func TestFolderThatNoGatewayCouldUse(t *testing.T) {
	t.Parallel()
	if there, held, err := lookAtFolder("/proc/self"); err == nil || there || held {
		t.Errorf("a folder in which no file can be created: there %v, held %v, %v", there, held, err)
	}
	dir := t.TempDir()
	if there, held, err := lookAtFolder(dir); err != nil || there || held {
		t.Errorf("an empty folder: there %v, held %v, %v", there, held, err)
	}
	lock, err := filelock.Take(filepath.Join(dir, natsserver.LockFile))
	if err != nil {
		t.Fatal(err)
	}
	if there, held, err := lookAtFolder(dir); err != nil || !there || !held {
		t.Errorf("while it is in use: there %v, held %v, %v", there, held, err)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	if there, held, err := lookAtFolder(dir); err != nil || !there || held {
		t.Errorf("after that: there %v, held %v, %v", there, held, err)
	}
	if err := os.WriteFile(filepath.Join(dir, natsserver.Folder), nil, 0o600); err != nil { // in which nothing can be created
		t.Fatal(err)
	}
	if there, held, err := lookAtFolder(dir); err == nil || !there || held {
		t.Errorf("with a file in the place of the streams: there %v, held %v, %v", there, held, err)
	}
}
