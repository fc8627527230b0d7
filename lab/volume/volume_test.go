package volume_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/lab/volume"
)

// mount mounts a volume, or skips the test: neither root nor /dev/fuse can be assumed.
func mount(t *testing.T) (*volume.Volume, string) {
	t.Helper()
	dir := t.TempDir()
	at := filepath.Join(dir, "mounted")
	v, err := volume.Mount(at, filepath.Join(dir, "kept"))
	if errors.Is(err, volume.ErrNoVolume) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := v.Close(); err != nil {
			t.Error(err)
		}
	})
	return v, at
}

// requireFiles requires that exactly these files are there, with this content.
func requireFiles(t *testing.T, folder string, want map[string]string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
		held, err := os.ReadFile(filepath.Join(folder, entry.Name()))
		if err != nil || string(held) != want[entry.Name()] {
			t.Errorf("%s has %q, want %q, %v", entry.Name(), held, want[entry.Name()], err)
		}
	}
	if len(names) != len(want) {
		t.Errorf("the files are %v, want %d", names, len(want))
	}
}

// file is a file under test, whose operations must not fail.
type file struct {
	*os.File
	t *testing.T
}

func open(t *testing.T, path string, flags int) file {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|flags, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	return file{f, t}
}

func (f file) write(text string) file {
	f.t.Helper()
	if _, err := f.WriteString(text); err != nil {
		f.t.Fatal(err)
	}
	return f
}

func (f file) sync() file {
	f.t.Helper()
	if err := f.Sync(); err != nil {
		f.t.Fatal(err)
	}
	return f
}

func (f file) close() {
	f.t.Helper()
	if err := f.Close(); err != nil {
		f.t.Fatal(err)
	}
}

// What was synced is there after a loss of power, and nothing else.
func TestWhatWasNotSyncedIsLost(t *testing.T) {
	t.Parallel()
	v, at := mount(t)
	path := func(name string) string { return filepath.Join(at, name) }

	open(t, path("synced"), 0).write("one ").sync().write("two ").sync().close()
	open(t, path("half"), 0).write("kept").sync().write(" lost").close()
	each := open(t, path("each"), os.O_SYNC).write("a").write("b")
	each.close()
	changed := open(t, path("changed"), 0).write("before").sync()
	if _, err := changed.WriteAt([]byte("X"), 2); err != nil {
		t.Fatal(err)
	}
	changed.close()
	cut := open(t, path("cut"), 0).write("0123456789").sync()
	if err := cut.Truncate(3); err != nil {
		t.Fatal(err)
	}
	if _, err := cut.WriteAt([]byte("9"), 9); err != nil {
		t.Fatal(err)
	}
	cut.sync().close()
	open(t, path("old"), 0).write("old").sync().close()
	open(t, path("replacement"), 0).write("new").sync().close()
	open(t, path("empty"), 0).write("never synced").close()
	open(t, path("last"), 0).sync().close() // Makes the name of empty durable.
	if err := os.Rename(path("replacement"), path("old")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path("last")); err != nil {
		t.Fatal(err)
	}
	open(t, path("unnamed"), 0).write("its name is lost, too").close()

	loss, err := v.LosePower()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"synced": "one two ", "half": "kept", "each": "ab", "changed": "before", "cut": "012\x00\x00\x00\x00\x00\x009",
		"old": "old", "replacement": "new", "empty": "", "last": "",
	}
	requireFiles(t, at, want)
	// Unnamed, half and empty are shorter, replacement is back.
	if shorter := int64(len("its name is lost, too") + len(" lost") + len("never synced")); loss.Bytes != shorter || loss.Files != 3 {
		t.Errorf("%+v, want 3 files, %d bytes", loss, shorter)
	}

	// What is there is durable now, and the volume can be used as before.
	open(t, path("half"), os.O_APPEND).write(" again").sync().close()
	if err := os.Rename(path("replacement"), path("old")); err != nil {
		t.Fatal(err)
	}
	folder, err := os.Open(at)
	if err != nil {
		t.Fatal(err)
	}
	file{folder, t}.sync().close() // Makes the renaming durable.
	open(t, path("synced"), os.O_TRUNC).close()
	if _, err := v.LosePower(); err != nil {
		t.Fatal(err)
	}
	want["half"], want["old"] = "kept again", "new"
	delete(want, "replacement")
	requireFiles(t, at, want)
}

// A program that writes a file in pieces and syncs some of them finds a beginning of it.
func TestFilesBelowFolders(t *testing.T) {
	t.Parallel()
	v, at := mount(t)
	folder := filepath.Join(at, "a", "b")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	block := strings.Repeat("x", 300<<10)
	f := open(t, filepath.Join(folder, "block"), 0)
	for range 4 {
		f.write(block)
	}
	f.sync().write(block).close()
	if _, err := v.LosePower(); err != nil {
		t.Fatal(err)
	}
	held, err := os.ReadFile(filepath.Join(folder, "block"))
	if err != nil || len(held) != 4*len(block) || slices.ContainsFunc(held, func(b byte) bool { return b != 'x' }) {
		t.Errorf("%d bytes, %v", len(held), err)
	}
}
