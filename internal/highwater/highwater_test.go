package highwater

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/eventstore"
)

func TestMarkComesBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, err := Open(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, found, _ := file.Load(t.Context()); found || file.Close() != nil {
		t.Fatal("a new folder has a mark")
	}
	mark := eventstore.Mark{Epoch: "e", Sequence: 7, At: time.Now().UTC()}
	if err := file.Store(t.Context(), mark); err != nil {
		t.Fatal(err)
	}
	again, err := Open(dir, false)
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
	file, err := Open(dir, true)
	if err != nil {
		t.Fatal(err)
	}
	if file.origin == "" {
		t.Skip("this system does not tell a file from its copy")
	}
	if err := file.Store(t.Context(), eventstore.Mark{Epoch: "e", Sequence: 7}); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(restored, "copy"), os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	copied, err := Open(filepath.Join(restored, "copy"), true)
	if err != nil || copied.Doubt() == "" {
		t.Errorf("a copy is not doubted: %v", err)
	}
}

// A copy that was made before the first mark is doubted, too, until the log has begun a
// new epoch for it.
func TestCopyWithoutAMarkIsDoubted(t *testing.T) {
	t.Parallel()
	dir, restored := t.TempDir(), filepath.Join(t.TempDir(), "copy")
	file, err := Open(dir, true)
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
		copied, err := Open(restored, true)
		if err != nil || copied.Doubt() == "" {
			t.Fatalf("a copy is not doubted: %v", err)
		}
		file = copied
	}
	if err := file.Store(t.Context(), eventstore.Mark{Epoch: "next", Sequence: 7}); err != nil {
		t.Fatal(err)
	}
	if again, err := Open(restored, true); err != nil || again.Doubt() != "" {
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
		synced  bool
		doubted bool
	}{
		"killed":                         {used, "before", false, false},
		"power lost":                     {used, "after", false, true},
		"power lost, each record synced": {used, "after", true, false},
		"closed":                         {closed, "after", false, false},
		"no boot is told":                {used, "", false, false},
	} {
		if got := test.found.doubt("o", test.boot, test.synced) != ""; got != test.doubted {
			t.Errorf("%s: doubted = %v", name, got)
		}
	}
}
