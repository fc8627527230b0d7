package wholefile_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/letswriteabook/realtime/internal/wholefile"
)

// TestWrite: a file is replaced whole. A write that fails leaves the old content and no
// other file, and what a crash has left is in nobody's way.
func TestWrite(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	path := filepath.Join(folder, "file")
	has := func(want string) {
		t.Helper()
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("the file has %q, %v, want %q", got, err, want)
		}
		if files, err := os.ReadDir(folder); err != nil || len(files) != 1 {
			t.Errorf("the folder has %v, %v", files, err)
		}
	}
	if err := os.WriteFile(path+".new", []byte("the beginning of a longer content"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := wholefile.WriteBytes(path, 0o600, []byte("one")); err != nil {
		t.Fatal(err)
	}
	has("one")
	failure := errors.New("the disk is full")
	err := wholefile.Write(path, 0o600, func(w io.Writer) error {
		if _, err := io.WriteString(w, "tw"); err != nil {
			return err
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != "one" {
			t.Errorf("during the write the file has %q, %v", got, err)
		}
		return failure
	})
	if !errors.Is(err, failure) {
		t.Errorf("a write that fails: %v", err)
	}
	has("one")
	if err := wholefile.WriteBytes(path, 0o600, []byte("two")); err != nil {
		t.Fatal(err)
	}
	has("two")
}
