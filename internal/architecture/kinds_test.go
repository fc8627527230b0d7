package architecture_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// pagesOfTests name tests in tables: Go tests as code, those of the web packages in
// quotes.
var pagesOfTests = []string{"docs/qa/kinds.md", "docs/ops/permissions.md", "docs/qa/moving-over.md"}

var (
	goTest      = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	namedTest   = regexp.MustCompile("`((?:Test|Fuzz)[A-Z]\\w*)`")
	namedInRow  = regexp.MustCompile(`"([^"]+)"`)
	ofOtherCode = map[string]bool{"node_modules": true, ".git": true}
)

// A page that says which test shows what names tests that exist.
func TestNamedTestsExist(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	inGo, inWeb := make(map[string]bool), &strings.Builder{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && ofOtherCode[entry.Name()]:
			return filepath.SkipDir
		case entry.IsDir():
			return nil
		}
		web := strings.HasSuffix(path, ".test.ts") || strings.HasSuffix(path, ".test.tsx")
		if !web && !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if web {
			inWeb.Write(text)
			return nil
		}
		for _, found := range goTest.FindAllStringSubmatch(string(text), -1) {
			inGo[found[1]] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pagesOfTests {
		text, err := os.ReadFile(filepath.Join(root, page))
		if err != nil {
			t.Fatal(err)
		}
		named := 0
		for number, line := range strings.Split(string(text), "\n") {
			if !strings.HasPrefix(line, "| ") {
				continue
			}
			cells := strings.Split(strings.TrimSuffix(line, " |"), " | ")
			tests := cells[len(cells)-1]
			for _, found := range namedTest.FindAllStringSubmatch(tests, -1) {
				if named++; !inGo[found[1]] {
					t.Errorf("%s:%d: there is no test %s", page, number+1, found[1])
				}
			}
			for _, found := range namedInRow.FindAllStringSubmatch(tests, -1) {
				if named++; !strings.Contains(inWeb.String(), "'"+found[1]+"'") && !strings.Contains(inWeb.String(), "`"+found[1]+"`") {
					t.Errorf("%s:%d: the web packages have no test %q", page, number+1, found[1])
				}
			}
		}
		if named == 0 {
			t.Errorf("%s names no test", page)
		}
	}
}
