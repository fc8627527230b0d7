package architecture_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// TestIndexOfPages compares llms.txt, the index of the documents for language models, with
// the tree: every link leads to a file, and every page for users and operators is linked.
func TestIndexOfPages(t *testing.T) {
	t.Parallel()
	const root = "../.."
	index, err := os.ReadFile(filepath.Join(root, "llms.txt"))
	if err != nil {
		t.Fatal(err)
	}
	linked := map[string]bool{}
	for _, link := range regexp.MustCompile(`\]\(([^)]+)\)`).FindAllStringSubmatch(string(index), -1) {
		linked[link[1]] = true
		if _, err := os.Stat(filepath.Join(root, link[1])); err != nil {
			t.Errorf("llms.txt links to a missing file: %v", err)
		}
	}
	for _, folder := range []string{"", "api", "contracts", "guides", "ops", "web"} {
		pages, err := filepath.Glob(filepath.Join(root, "docs", folder, "*.md"))
		if err != nil {
			t.Fatal(err)
		}
		for _, page := range pages {
			name, err := filepath.Rel(root, page)
			if err != nil {
				t.Fatal(err)
			}
			if !linked[filepath.ToSlash(name)] {
				t.Errorf("llms.txt does not link to %s", name)
			}
		}
	}
}
