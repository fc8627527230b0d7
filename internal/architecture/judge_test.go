package architecture_test

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// judgeUses returns a line for each use in the sources that a rule or a
// confinement forbids: file, line, use, reason.
func judgeUses(sources []source, rules []rule, confinements []confinement) []string {
	var violations []string
	for _, s := range sources {
		binding, found := ruleFor(s.folder(), rules)
		if !found {
			violations = append(violations, fmt.Sprintf("%s: no rule covers the folder %s; add one to rules_test.go", s.path, s.folder()))
			continue
		}
		for _, u := range s.uses {
			if reason := forbidden(s, u, binding, confinements); reason != "" {
				violations = append(violations, fmt.Sprintf("%s:%d: %s in %s: %s", s.path, u.line, relativeToModule(u.name), s.folder(), reason))
			}
		}
	}
	return violations
}

// forbidden returns why the source may not have the use, or nothing.
func forbidden(s source, u use, binding rule, confinements []confinement) string {
	name := relativeToModule(u.name)
	for _, c := range confinements {
		confined := slices.ContainsFunc(c.what, func(what string) bool { return within(name, what) })
		excepted := c.tests && s.test || slices.ContainsFunc(c.folders, func(folder string) bool { return within(s.folder(), folder) })
		if confined && !excepted {
			return c.why
		}
	}
	if s.test {
		return ""
	}
	if slices.Contains(binding.never, name) {
		return binding.why
	}
	if !u.imports || isStandard(u.name) {
		return ""
	}
	allowed := binding.modules
	if strings.HasPrefix(u.name, module+"/") {
		if within(name, s.folder()) {
			return ""
		}
		if within(name, "cmd") {
			return "nothing imports a command"
		}
		allowed = binding.project
	}
	if slices.ContainsFunc(allowed, func(prefix string) bool { return prefix == anything || within(name, prefix) }) {
		return ""
	}
	return binding.why
}

// ruleFor returns the rule with the longest folder around the given one.
func ruleFor(folder string, rules []rule) (rule, bool) {
	var binding rule
	found := false
	for _, r := range rules {
		if within(folder, r.folder) && (!found || len(r.folder) > len(binding.folder)) {
			binding, found = r, true
		}
	}
	return binding, found
}

// judgeFiles returns a line for each file that is too long and each package
// that does not say in doc.go what it is for. A command may say it in main.go.
func judgeFiles(sources []source) []string {
	var violations []string
	documented := map[string]bool{}
	var folders []string
	for _, s := range sources {
		limit := maxLines
		if s.test {
			limit = maxTestLines
		}
		if s.lines > limit {
			violations = append(violations, fmt.Sprintf("%s: %d lines, at most %d: split it by subject", s.path, s.lines, limit))
		}
		if !slices.Contains(folders, s.folder()) {
			folders = append(folders, s.folder())
		}
		if name := path.Base(s.path); s.documented && (name == "doc.go" || name == "main.go") {
			documented[s.folder()] = true
		}
	}
	for _, folder := range folders {
		if !documented[folder] {
			violations = append(violations, fmt.Sprintf("%s: no doc.go with a package comment", folder))
		}
	}
	return violations
}

// within tells whether a slash-separated path is the prefix or lies below it.
func within(name, prefix string) bool {
	return name == prefix || strings.HasPrefix(name, prefix+"/")
}

func relativeToModule(imported string) string {
	return strings.TrimPrefix(imported, module+"/")
}
