package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
)

// webPackage is a package of the built console, which is embedded in the program.
type webPackage struct {
	name    string
	Version string
	License string
	// Dependencies are its packages in turn.
	Dependencies map[string]string
}

// consolePackages returns the packages that the console needs when it runs, by name, as the
// lock file in the present folder's web has them.
func consolePackages() ([]webPackage, error) {
	text, err := os.ReadFile("web/package-lock.json")
	if err != nil {
		return nil, err
	}
	var lock struct{ Packages map[string]webPackage }
	if err := json.Unmarshal(text, &lock); err != nil {
		return nil, fmt.Errorf("read web/package-lock.json: %w", err)
	}
	found := make(map[string]webPackage)
	for open := slices.Collect(maps.Keys(lock.Packages["console"].Dependencies)); len(open) > 0; open = open[1:] {
		name := open[0]
		if _, known := found[name]; known {
			continue
		}
		p := lock.Packages["node_modules/"+name]
		if p.name = name; !slices.Contains(allowed, p.License) {
			return nil, fmt.Errorf("%s has the licence %q, which is not among those that may be shipped: %s", name, p.License, strings.Join(allowed, ", "))
		}
		found[name] = p
		open = append(open, slices.Collect(maps.Keys(p.Dependencies))...)
	}
	return slices.SortedFunc(maps.Values(found), func(a, b webPackage) int { return strings.Compare(a.name, b.name) }), nil
}
