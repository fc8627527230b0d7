package architecture_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// handlesForeignInput are the folders whose goroutines handle what others send: a panic
// there has to cost the client or the event that caused it, and not the process.
var handlesForeignInput = []string{"eventstore", "fanout", "ingest", "internal/server", "internal/token", "projections"}

// uncontained are the functions there that start a goroutine or a timer without containing
// its panics, with the reason why that is right.
var uncontained = map[string]string{
	"eventstore/archive/restoring.go hold":  "only an operator's restore holds a name; it ends with a panic",
	"eventstore/sessions/write.go Run":      "the timer ends a context",
	"fanout/engineio/server.go Shutdown":    "the goroutine waits for a group",
	"fanout/engineio/workers.go take":       "a worker contains the panics of each task",
	"ingest/ingest.go Run":                  "the timer ends a context",
	"ingest/writer.go waitFor":              "the goroutine waits for a group",
	"ingest/writer.go putBack":              "the goroutine puts events back into the queue after they were handled",
	"ingest/writer.go probe":                "storeOne contains its panics",
	"ingest/writer.go run":                  "storeOne contains its panics",
	"ingest/writer.go writeRound":           "storeOne contains its panics",
	"internal/server/canary.go run":         "a canary is the service's own",
	"internal/server/drain.go drainClients": "the goroutine closes streams, which handles no input",
	"internal/server/health.go examine":     "a check reads nothing of a client's",
}

// Each goroutine and each timer that may handle what others send contains its panics.
func TestGoroutinesContainPanics(t *testing.T) {
	t.Parallel()
	root := moduleRoot(t)
	found := make(map[string]bool)
	for _, folder := range handlesForeignInput {
		err := filepath.WalkDir(filepath.Join(root, folder), func(file string, entry os.DirEntry, err error) error {
			if err != nil || !entry.IsDir() {
				return err
			}
			if entry.Name() == "testdata" {
				return filepath.SkipDir
			}
			relative, err := filepath.Rel(root, file)
			if err != nil {
				return err
			}
			texts, err := readPackage(file)
			if err != nil {
				return err
			}
			starts, err := uncontainedStarts(filepath.ToSlash(relative), texts)
			for _, start := range starts {
				found[start.place] = true
				if uncontained[start.place] == "" {
					t.Errorf("%s:%d: %s starts a goroutine or a timer that does not contain its panics (see internal/contain)", start.file, start.line, start.place)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for place := range uncontained {
		if !found[place] {
			t.Errorf("%s is listed as uncontained, and is contained", place)
		}
	}
}

// readPackage returns the Go files of a folder, but for tests.
func readPackage(folder string) (texts map[string][]byte, err error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	texts = make(map[string][]byte)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		if texts[filepath.Base(file)], err = os.ReadFile(file); err != nil {
			return nil, err
		}
	}
	return texts, err
}

// start is where a goroutine or a timer is started.
type start struct {
	file  string
	line  int
	place string // the file and the function
}

// uncontainedStarts returns where the files of a package start a goroutine or a timer
// without a visible containment: neither the function that it runs, nor a function of the
// package that it is or calls alone, defers a Recover, calls Do or Persist of a guard, or
// recovers. Functions are found by name, whatever their receiver is.
func uncontainedStarts(folder string, texts map[string][]byte) (starts []start, err error) {
	set := token.NewFileSet()
	contained := make(map[string]bool)
	var files []*ast.File
	var names []string
	for name, text := range texts {
		file, err := parser.ParseFile(set, name, text, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		files, names = append(files, file), append(names, name)
		for _, declaration := range file.Decls {
			if function, ok := declaration.(*ast.FuncDecl); ok && function.Body != nil && containsPanics(function.Body) {
				contained[function.Name.Name] = true
			}
		}
	}
	for i, file := range files {
		for _, declaration := range file.Decls {
			function, ok := declaration.(*ast.FuncDecl)
			if !ok || function.Body == nil {
				continue
			}
			ast.Inspect(function.Body, func(node ast.Node) bool {
				run := started(node)
				if run != nil && !isContained(run, contained) {
					file := path.Join(folder, names[i])
					starts = append(starts, start{file, set.Position(node.Pos()).Line, file + " " + function.Name.Name})
				}
				return true
			})
		}
	}
	return starts, nil
}

// started returns what a node runs in a goroutine or when a timer fires, nil when it
// starts nothing.
func started(node ast.Node) ast.Expr {
	switch node := node.(type) {
	case *ast.GoStmt:
		if literal, ok := node.Call.Fun.(*ast.FuncLit); ok {
			return literal
		}
		return node.Call
	case *ast.CallExpr:
		called, ok := node.Fun.(*ast.SelectorExpr)
		if !ok {
			return nil
		}
		switch library, _ := called.X.(*ast.Ident); {
		case called.Sel.Name == "Go" && len(node.Args) == 1: // of a group
			return node.Args[0]
		case called.Sel.Name == "Every" && len(node.Args) == 2: // of wait
			return node.Args[1]
		case called.Sel.Name == "AfterFunc" && library != nil && library.Name == "time" && len(node.Args) == 2:
			return node.Args[1]
		}
	}
	return nil
}

// isContained reports whether what is run contains its panics.
func isContained(run ast.Expr, contained map[string]bool) bool {
	switch run := run.(type) {
	case *ast.FuncLit:
		if containsPanics(run.Body) {
			return true
		}
		if len(run.Body.List) != 1 {
			return false
		}
		statement, ok := run.Body.List[0].(*ast.ExprStmt)
		return ok && isContained(statement.X, contained)
	case *ast.CallExpr:
		return isContained(run.Fun, contained)
	case *ast.SelectorExpr:
		return contained[run.Sel.Name]
	case *ast.Ident:
		return contained[run.Name]
	}
	return false
}

// containsPanics reports whether a body contains the panics of what it does: one of its own
// statements defers a Recover, recovers in a deferred function, or runs the work in Do or
// Persist of a guard.
func containsPanics(body *ast.BlockStmt) bool {
	return slices.ContainsFunc(body.List, func(statement ast.Stmt) bool {
		switch statement := statement.(type) {
		case *ast.DeferStmt:
			return isGuarding(statement.Call, "Recover") || recovers(statement.Call)
		case *ast.ExprStmt:
			return isGuarding(statement.X, "Do", "Persist")
		case *ast.AssignStmt:
			return len(statement.Rhs) == 1 && isGuarding(statement.Rhs[0], "Do", "Persist")
		case *ast.SendStmt:
			return isGuarding(statement.Value, "Do", "Persist")
		case *ast.ReturnStmt:
			return len(statement.Results) == 1 && isGuarding(statement.Results[0], "Do", "Persist")
		}
		return false
	})
}

// isGuarding reports whether an expression is a call of one of the methods of a guard.
func isGuarding(expression ast.Expr, methods ...string) bool {
	call, ok := expression.(*ast.CallExpr)
	if !ok {
		return false
	}
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || !slices.Contains(methods, method.Sel.Name) {
		return false
	}
	return strings.HasSuffix(strings.ToLower(lastName(method.X)), "guard")
}

// lastName returns the last name of an expression such as s.server.guard or hub.Guard().
func lastName(expression ast.Expr) string {
	switch expression := expression.(type) {
	case *ast.Ident:
		return expression.Name
	case *ast.SelectorExpr:
		return expression.Sel.Name
	case *ast.CallExpr:
		return lastName(expression.Fun)
	}
	return ""
}

// recovers reports whether a deferred call is one of a function that recovers.
func recovers(call *ast.CallExpr) bool {
	literal, ok := call.Fun.(*ast.FuncLit)
	found := false
	if ok {
		ast.Inspect(literal.Body, func(node ast.Node) bool {
			if call, ok := node.(*ast.CallExpr); ok {
				if name, ok := call.Fun.(*ast.Ident); ok && name.Name == "recover" {
					found = true
				}
			}
			return true
		})
	}
	return found
}

// The containment is found where it is, and missed where it is not.
func TestUncontainedStarts(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		body        string
		uncontained bool
	}{
		"a goroutine":                    {"go func() { work() }()", true},
		"of a method":                    {"go s.work()", true},
		"of a group":                     {"group.Go(func() { work() })", true},
		"of a group, by name":            {"group.Go(work)", true},
		"a timer":                        {"time.AfterFunc(d, func() { work() })", true},
		"a timer of a method":            {"time.AfterFunc(d, s.work)", true},
		"inside of another":              {"go func() { defer guard.Recover(``, nil); go work() }()", true},
		"a guard of something else":      {"go func() { _ = s.valve.Do(``, work) }()", true},
		"a guard in a branch":            {"go func() { if ok { defer guard.Recover(``, nil) }; work() }()", true},
		"nothing":                        {"work()", false},
		"a timer of the package's own":   {"session.After(d, work)", false},
		"a deferred recovery":            {"go func() { defer guard.Recover(``, nil); work() }()", false},
		"a recovery of its own":          {"go func() { defer func() { if recover() != nil { note() } }(); work() }()", false},
		"repeated work":                  {"end := wait.Every(d, func() bool { work(); return true })", true},
		"contained repeated work":        {"return wait.Every(d, func() bool { defer guard.Recover(``, nil); work(); return true })", false},
		"a guard of a hub":               {"time.AfterFunc(d, func() { defer s.hub.Guard().Recover(``, nil); work() })", false},
		"the work of a guard":            {"group.Go(func() error { return s.guard.Persist(ctx, ``, work) })", false},
		"a method that is contained":     {"go s.safe()", false},
		"a timer of a contained method":  {"time.AfterFunc(d, s.safe)", false},
		"a call of a contained function": {"group.Go(func() { s.safe(1) })", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := "package x\n\nfunc f() {\n" + test.body + "\n}\n\nfunc (s *T) safe(n int) { defer s.guard.Recover(``, nil); work() }\n"
			starts, err := uncontainedStarts("x", map[string][]byte{"a.go": []byte(text)})
			if err != nil {
				t.Fatal(err)
			}
			if got := len(starts) > 0; got != test.uncontained {
				t.Errorf("found %v", starts)
			}
		})
	}
}
