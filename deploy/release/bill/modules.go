package main

import (
	"cmp"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
)

// module is a module that is linked into a program, with its licence.
type module struct {
	Path    string
	Version string
	Dir     string // in the module cache, or of the Go distribution
	licence string
	notices []notice
}

// programs are the commands whose modules the table lists: what is released.
var programs = []string{"./cmd/realtime"}

// linkedInto returns the modules of a program, the standard library first.
func linkedInto(program string) ([]module, error) {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return nil, fmt.Errorf("read the build information of %s: %w", program, err)
	}
	var paths []string
	for _, dep := range info.Deps {
		if dep.Replace != nil {
			return nil, fmt.Errorf("%s is replaced by %s: a release is built of published modules", dep.Path, dep.Replace.Path)
		}
		paths = append(paths, dep.Path)
	}
	modules, err := list[module](append([]string{"list", "-m", "-json"}, paths...)...)
	if err != nil {
		return nil, err
	}
	for _, m := range modules {
		for _, dep := range info.Deps {
			if dep.Path == m.Path && dep.Version != m.Version {
				return nil, fmt.Errorf("%s has %s %s, and go.mod %s: build it from this tree", program, dep.Path, dep.Version, m.Version)
			}
		}
	}
	return licensed(modules, info.GoVersion)
}

// released returns the modules of [programs] as they are built from this tree.
func released() ([]module, error) {
	packages, err := list[struct {
		Module *struct {
			module
			Main bool
		}
	}](append([]string{"list", "-deps", "-json=Module"}, programs...)...)
	if err != nil {
		return nil, err
	}
	var modules []module
	for _, p := range packages {
		if p.Module != nil && !p.Module.Main {
			modules = append(modules, p.Module.module)
		}
	}
	slices.SortFunc(modules, func(a, b module) int { return cmp.Compare(a.Path, b.Path) })
	return licensed(slices.CompactFunc(modules, func(a, b module) bool { return a.Path == b.Path }), "")
}

// licensed adds the Go distribution and every licence.
func licensed(modules []module, version string) ([]module, error) {
	root, err := exec.Command("go", "env", "GOROOT", "GOVERSION").Output()
	if err != nil {
		return nil, fmt.Errorf("go env: %w", err)
	}
	dir, own, _ := strings.Cut(strings.TrimSpace(string(root)), "\n")
	modules = append([]module{{Path: "std", Version: cmp.Or(version, own), Dir: dir}}, modules...)
	var problems []error
	for i := range modules {
		m := &modules[i]
		if m.licence, m.notices, err = licenceOf(m.Dir); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", m.Path, err))
		}
	}
	return modules, errors.Join(problems...)
}

// list runs go list, and decodes what it writes.
func list[T any](arguments ...string) (values []T, err error) {
	command := exec.Command("go", arguments...)
	var message strings.Builder
	command.Stderr = &message
	out, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("go %s: %w\n%s", arguments[0], err, message.String())
	}
	decoder := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var value T
		if err := decoder.Decode(&value); errors.Is(err, io.EOF) {
			return values, nil
		} else if err != nil {
			return nil, fmt.Errorf("read what go %s writes: %w", arguments[0], err)
		}
		values = append(values, value)
	}
}
