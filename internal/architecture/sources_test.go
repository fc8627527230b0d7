package architecture_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// source is one Go file as far as the rules care.
type source struct {
	path       string // from the root of the module, with slashes
	test       bool
	documented bool // whether the package clause has a comment
	lines      int
	uses       []use
}

// use is an import, a selector of a standard package such as os.Getenv, or a
// go statement.
type use struct {
	name    string
	line    int
	imports bool
}

// folder is the file's folder, "." for the root of the module.
func (s source) folder() string { return path.Dir(s.path) }

// readSources parses every Go file of the module around the working directory.
func readSources(t *testing.T) []source {
	t.Helper()
	root := moduleRoot(t)
	ignored := ignoredFolders(t, root)
	var sources []source
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		relative = filepath.ToSlash(relative)
		if entry.IsDir() {
			if relative != "." && skipFolder(root, relative, ignored) {
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(relative) != ".go" {
			return nil
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		parsed, err := parseSource(relative, text)
		sources = append(sources, parsed)
		return err
	})
	if err != nil {
		t.Fatalf("read the sources below %s: %v", root, err)
	}
	return sources
}

// moduleRoot finds the folder with go.mod, from the working directory upwards.
func moduleRoot(t *testing.T) string {
	t.Helper()
	folder, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(folder, "go.mod")); err == nil {
			return folder
		}
		parent := filepath.Dir(folder)
		if parent == folder {
			t.Fatal("there is no go.mod above the working directory")
		}
		folder = parent
	}
}

// ignoredFolders returns the folders that .gitignore names without a wildcard;
// a name with a slash in front or inside is a path from the root.
func ignoredFolders(t *testing.T, root string) map[string]bool {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, ".gitignore"))
	if err != nil {
		t.Fatal(err)
	}
	folders := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if name, isFolder := strings.CutSuffix(line, "/"); isFolder && !strings.ContainsAny(name, "*?[!") {
			folders[name] = true
		}
	}
	return folders
}

func skipFolder(root, relative string, ignored map[string]bool) bool {
	name := path.Base(relative)
	if name == "testdata" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") {
		return true // the go command does not look there either
	}
	if ignored[name] || ignored["/"+relative] || (strings.Contains(relative, "/") && ignored[relative]) {
		return true
	}
	_, err := os.Stat(filepath.Join(root, relative, "go.mod"))
	return err == nil // a module of its own
}

// parseSource reads one file. Uses of standard packages are found by name, so
// one through a variable that shadows the package counts too; that is rare
// enough to be worth a better variable name.
func parseSource(relative string, text []byte) (source, error) {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, relative, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return source{}, err
	}
	parsed := source{
		path:       relative,
		test:       strings.HasSuffix(relative, "_test.go"),
		documented: file.Doc != nil,
		lines:      bytes.Count(text, []byte("\n")),
	}
	add := func(name string, at token.Pos, imports bool) {
		parsed.uses = append(parsed.uses, use{name: name, line: set.Position(at).Line, imports: imports})
	}
	standard := map[string]string{} // local name to import path
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return source{}, err
		}
		add(imported, spec.Pos(), true)
		if isStandard(imported) {
			name := path.Base(imported)
			if spec.Name != nil {
				name = spec.Name.Name
			}
			standard[name] = imported
		}
	}
	ast.Inspect(file, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.GoStmt:
			add(goStatement, node.Pos(), false)
		case *ast.SelectorExpr:
			if name, ok := node.X.(*ast.Ident); ok && standard[name.Name] != "" {
				add(standard[name.Name]+"."+node.Sel.Name, node.Pos(), false)
			}
		}
		return true
	})
	return parsed, nil
}

// isStandard tells the standard library from modules, whose first path element
// is a host name.
func isStandard(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(first, ".")
}
