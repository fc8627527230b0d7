package highwater

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/eventstore"
)

func TestMarkComesBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, found, _ := file.Load(t.Context()); found || file.Close(t.Context()) != nil {
		t.Fatal("a new folder has a mark")
	}
	mark := eventstore.Mark{Epoch: "e", Sequence: 7, At: time.Now().UTC()}
	if err := file.Store(t.Context(), mark); err != nil {
		t.Fatal(err)
	}
	again, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got, found, _ := again.Load(t.Context()); !found || got != mark || again.Doubt() != "" {
		t.Errorf("got %+v, %v, doubt %q", got, found, again.Doubt())
	}
}

func TestCopyIsDoubted(t *testing.T) {
	t.Parallel()
	dir, restored := t.TempDir(), t.TempDir()
	file, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if file.origin == "" {
		t.Skip("this system does not tell a file from its copy")
	}
	if err := file.Store(t.Context(), eventstore.Mark{Epoch: "e", Sequence: 7}); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(restored, "copy"), os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	copied, err := Open(filepath.Join(restored, "copy"))
	if err != nil || copied.Doubt() == "" {
		t.Errorf("a copy is not doubted: %v", err)
	}
}

// A copy that was made before the first mark is doubted, too, until the log has begun a
// new epoch for it.
func TestCopyWithoutAMarkIsDoubted(t *testing.T) {
	t.Parallel()
	dir, restored := t.TempDir(), filepath.Join(t.TempDir(), "copy")
	file, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if file.origin == "" {
		t.Skip("this system does not tell a file from its copy")
	}
	if err := os.CopyFS(restored, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	for range 2 { // and again, when the process dies before it has begun the epoch
		copied, err := Open(restored)
		if err != nil || copied.Doubt() == "" {
			t.Fatalf("a copy is not doubted: %v", err)
		}
		file = copied
	}
	if err := file.Store(t.Context(), eventstore.Mark{Epoch: "next", Sequence: 7}); err != nil {
		t.Fatal(err)
	}
	if again, err := Open(restored); err != nil || again.Doubt() != "" {
		t.Errorf("doubted after the new epoch: %q, %v", again.Doubt(), err)
	}
}

func TestPowerLoss(t *testing.T) {
	t.Parallel()
	used := content{Origin: "o", Boot: "before"}
	closed := used
	closed.Closed = true
	for name, test := range map[string]struct {
		found   content
		boot    string
		doubted bool
	}{
		"killed":          {used, "before", false},
		"power lost":      {used, "after", true},
		"closed":          {closed, "after", false},
		"no boot is told": {used, "", false},
	} {
		if got := test.found.doubt("o", test.boot) != ""; got != test.doubted {
			t.Errorf("%s: doubted = %v", name, got)
		}
	}
}

// A log is in use from its opening on, and not from its first mark on: what is stored in
// the first second may be seen by clients, and lost. The doubt stays until the log has
// begun a new epoch, however often the process dies before.
func TestPowerLossAfterAnOrderlyStop(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open := func() *File {
		t.Helper()
		file, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		return file
	}
	reboot := func() {
		t.Helper()
		raw, err := os.ReadFile(filepath.Join(dir, Name))
		if err != nil {
			t.Fatal(err)
		}
		raw = []byte(strings.ReplaceAll(string(raw), bootID(), "another-boot"))
		if err := os.WriteFile(filepath.Join(dir, Name), raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if bootID() == "" {
		t.Skip("this system does not tell one boot from another")
	}
	file := open()
	if err := file.Store(t.Context(), eventstore.Mark{Epoch: "e", Sequence: 7}); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	reboot()
	if doubt := open().Doubt(); doubt != "" {
		t.Errorf("doubted after an orderly stop: %s", doubt)
	}
	reboot() // while the log was in use, and before its first mark
	for range 2 {
		file = open()
		if file.Doubt() == "" {
			t.Fatal("a power loss before the first mark is not doubted")
		}
		if err := file.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := file.Store(t.Context(), eventstore.Mark{Epoch: "next", Sequence: 6}); err != nil {
		t.Fatal(err)
	}
	if doubt := open().Doubt(); doubt != "" {
		t.Errorf("doubted after the new epoch: %s", doubt)
	}
}
