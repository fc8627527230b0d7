package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestLicences: every module that is released has a licence that may be shipped, and
// docs/licences.md lists it.
func TestLicences(t *testing.T) {
	t.Chdir("../../..")
	var got strings.Builder
	if err := run(&got, []string{"table"}); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("docs/licences.md")
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Error("docs/licences.md is not what is linked: go run ./deploy/release/bill table >docs/licences.md")
	}
}

// olderField are the packages whose package.json says the licence in the field licenses,
// which npm does not read any more.
var olderField = map[string]string{"node_modules/xmlhttprequest-ssl": "MIT"}

// TestLicencesOfWebPackages: so it is with what the web packages need when they run.
func TestLicencesOfWebPackages(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../web/package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	var lock struct {
		Packages map[string]struct {
			License                string
			Dev, DevOptional, Link bool
		}
	}
	if err := json.Unmarshal(text, &lock); err != nil {
		t.Fatal(err)
	}
	checked := 0
	for name, entry := range lock.Packages {
		if !strings.HasPrefix(name, "node_modules/") || entry.Dev || entry.DevOptional || entry.Link {
			continue
		}
		checked++
		if entry.License == "" {
			entry.License = olderField[name]
		}
		if !slices.Contains(allowed, entry.License) {
			t.Errorf("%s has the licence %q, which is not among those that may be shipped", name, entry.License)
		}
	}
	if checked == 0 {
		t.Error("no package was checked")
	}
}

// TestSBOMHasTheConsole: the bill of materials lists the modules, and each npm package that
// the console needs when it runs, with its version and its purl, under an id of its own.
func TestSBOMHasTheConsole(t *testing.T) {
	t.Chdir("../../..")
	packages, err := consolePackages()
	if err != nil {
		t.Fatal(err)
	}
	packages = append(packages, webPackage{name: "@scope/uplot", Version: "1.0.0", License: "MIT"})
	modules := []module{{Path: "example.com/uplot", Version: "v1.2.3", licence: "MIT"}}
	var text strings.Builder
	if err := writeSBOM(&text, "realtime", "v1", time.Unix(0, 0).UTC(), modules, packages); err != nil {
		t.Fatal(err)
	}
	var bill document
	if err := json.Unmarshal([]byte(text.String()), &bill); err != nil {
		t.Fatal(err)
	}
	versions, ids := make(map[string]string), make(map[string]bool)
	for _, p := range bill.Packages {
		if ids[p.ID] {
			t.Errorf("the id %s is given twice", p.ID)
		}
		ids[p.ID] = true
		for _, ref := range p.Refs {
			versions[strings.TrimSuffix(ref.Locator, "@"+p.Version)] = p.Version
		}
	}
	for _, locator := range []string{"pkg:golang/example.com/uplot", "pkg:npm/react", "pkg:npm/react-dom", "pkg:npm/scheduler", "pkg:npm/uplot", "pkg:npm/%40scope/uplot"} {
		if versions[locator] == "" {
			t.Errorf("%s is missing, or has no version: %v", locator, versions)
		}
	}
	if want := 1 + len(modules) + len(packages); len(bill.Packages) != want || len(bill.Relationships) != want {
		t.Errorf("%d packages and %d relationships, want %d", len(bill.Packages), len(bill.Relationships), want)
	}
}

func TestLicenceOf(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ file, text, want string }{
		"in a comment":            {"LICENSE", "// Permission is hereby granted, free\n// of charge, to any person obtaining a copy", "MIT"},
		"in a quotation":          {"license.md", "> Redistribution and use in source and binary forms, with or without\n> modification, are permitted", "BSD-2-Clause"},
		"another name":            {"README", "Permission is hereby granted, free of charge, to any person obtaining a copy", ""},
		"one that is not allowed": {"COPYING", "GNU GENERAL PUBLIC LICENSE\nVersion 3", ""},
		"its own words":           {"LICENSE", "All rights reserved.", ""},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, test.file), []byte(test.text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, notices, err := licenceOf(dir)
		if got != test.want || (err == nil) != (test.want != "") || len(notices) != len(strings.Fields(got)) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}
