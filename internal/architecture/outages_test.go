package architecture_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// ownBook is a variable or a field in which a file would keep by itself whether something
// fails, to log that once.
var ownBook = regexp.MustCompile(`\b(failing|told|down)\b(, *\w+)* *(:=|=) .*\b(true|false)\b|\b(failing|told|down)\b +(bool|atomic\.Bool)`)

// unlogged are the files that do so and log nothing of it, with what they need it for.
var unlogged = map[string]string{
	"eventstore/health.go":         "what it decides under a lock it logs after it; the outages are of internal/outage",
	"fanout/hub/projected.go":      "reads do not ask a MongoDB that failed until a probe of it succeeds",
	"fanout/hub/turn.go":           "what a client is told of is no outage",
	"eventstore/sessions/write.go": "the pauses between attempts begin again after a success",
}

// What fails and works in turn is one outage wherever it is logged: the packages that work
// against servers keep no book of their own.
func TestOutagesAreKeptInBooks(t *testing.T) {
	t.Parallel()
	root := moduleRoot(t)
	for _, folder := range []string{"ingest", "eventstore", "projections", "fanout/hub"} {
		err := filepath.WalkDir(filepath.Join(root, folder), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			name, err := filepath.Rel(root, path)
			if found := ownBook.Find(text); found != nil && unlogged[filepath.ToSlash(name)] == "" {
				t.Errorf("%s: %q: keep the outage in a Book of internal/outage", name, found)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
