package architecture_test

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	declared  = regexp.MustCompile(`(?m)^(?:func|type) (\w+)`)
	method    = regexp.MustCompile(`(?m)^func \(\w* ?\*?(\w+)(?:\[\w+\])?\) (\w+)\(`)
	inCode    = regexp.MustCompile("`([^`\n]+)`")
	ofPackage = regexp.MustCompile(`^(\w+)\.([A-Z]\w*)$`)
	ofType    = regexp.MustCompile(`^(?:(\w+)\.)?\(\*(\w+)\)\.(\w+)$`)
	aFolder   = regexp.MustCompile(`^(?:cmd|deploy|docs|eventstore|fanout|internal|lab|operations|web)/[\w/.-]+$`)
)

// The architecture page names packages, types, functions and files that exist.
func TestArchitecturePageNamesWhatExists(t *testing.T) {
	t.Parallel()
	root := moduleRoot(t)
	names := make(map[string]bool) // such as Hub.Live, hub.Hub and hub.Hub.Live
	for _, source := range readSources(t) {
		if source.test {
			continue
		}
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(source.path)))
		if err != nil {
			t.Fatal(err)
		}
		in := path.Base(source.folder()) + "."
		for _, found := range declared.FindAllStringSubmatch(string(text), -1) {
			names[in+found[1]] = true
		}
		for _, found := range method.FindAllStringSubmatch(string(text), -1) {
			name := found[1] + "." + found[2]
			names[name], names[in+name] = true, true
		}
	}
	page, err := os.ReadFile(filepath.Join(root, "docs", "architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, found := range inCode.FindAllStringSubmatch(string(page), -1) {
		name, exists := found[1], true
		switch {
		case aFolder.MatchString(name):
			_, err := os.Stat(filepath.Join(root, filepath.FromSlash(name)))
			exists = err == nil
		case ofPackage.MatchString(name):
			exists = names[name]
		case ofType.MatchString(name):
			parts := ofType.FindStringSubmatch(name)
			exists = names[strings.TrimPrefix(strings.Join(parts[1:], "."), ".")]
		default:
			continue
		}
		if checked++; !exists {
			t.Errorf("docs/architecture.md names %s, which does not exist", name)
		}
	}
	if checked < 50 {
		t.Errorf("%d names were checked, want at least 50", checked)
	}
}

var decisionRow = regexp.MustCompile(`(?m)^\| \[(\d{4})\]\(([^)]+)\) \| (.+?) \| (\w+)`)

// The index of decisions has each page, with its title and its status.
func TestIndexOfDecisions(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(moduleRoot(t), "docs", "adr")
	index, err := os.ReadFile(filepath.Join(folder, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	listed := make(map[string]bool)
	for _, row := range decisionRow.FindAllStringSubmatch(string(index), -1) {
		number, file, title, status := row[1], row[2], row[3], row[4]
		listed[file] = true
		text, err := os.ReadFile(filepath.Join(folder, file))
		if err != nil {
			t.Error(err)
			continue
		}
		heading := "# " + strings.TrimLeft(number, "0") + ". " + title + "\n\nStatus: " + status
		if !strings.HasPrefix(string(text), heading) || !strings.HasPrefix(file, number+"-") {
			t.Errorf("%s does not begin with %q", file, heading)
		}
	}
	pages, err := filepath.Glob(filepath.Join(folder, "0*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages {
		if !listed[filepath.Base(page)] {
			t.Errorf("the index lacks %s", filepath.Base(page))
		}
	}
}
