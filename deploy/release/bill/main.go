package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

func main() {
	if err := run(os.Stdout, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bill:", err)
		os.Exit(1)
	}
}

func run(w io.Writer, arguments []string) error {
	switch {
	case len(arguments) == 1 && arguments[0] == "table":
		modules, err := released()
		if err != nil {
			return err
		}
		packages, err := consolePackages()
		if err != nil {
			return err
		}
		return writeTable(w, modules, packages)
	case len(arguments) == 2 && (arguments[0] == "sbom" || arguments[0] == "notices"):
		modules, err := linkedInto(arguments[1])
		if err != nil {
			return err
		}
		if arguments[0] == "notices" {
			return writeNotices(w, modules)
		}
		// That of the commit, so that two builds of it have the same bytes.
		seconds, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64)
		if err != nil {
			return fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
		}
		packages, err := consolePackages()
		if err != nil {
			return err
		}
		return writeSBOM(w, filepath.Base(arguments[1]), os.Getenv("VERSION"), time.Unix(seconds, 0).UTC(), modules, packages)
	}
	return fmt.Errorf("usage: bill sbom PROGRAM, bill notices PROGRAM, or bill table")
}

// writeTable writes docs/licences.md. It has no versions, which go.mod and the lock file have.
func writeTable(w io.Writer, modules []module, packages []webPackage) error {
	var page strings.Builder
	page.WriteString(`<!-- Written by "go run ./deploy/release/bill table". -->

# Licences of what is shipped

The modules that are linked into ` + "`realtime`" + `, with their licences as the files in them say. A release has their texts in
` + "`THIRD_PARTY_NOTICES`" + ` and their versions in a bill of materials. ` + "`TestLicences`" + ` fails on a licence that is not one of
` + strings.Join(allowed, ", ") + `.

| module | licence |
| --- | --- |
`)
	for _, m := range modules {
		name := m.Path
		if name == "std" {
			name = "Go's standard library"
		}
		fmt.Fprintf(&page, "| %s | %s |\n", name, m.licence)
	}
	page.WriteString(`
The operators' console is embedded in ` + "`realtime`" + `. It contains parts of these npm packages; the console serves their licences as
` + "`/internal/console/licences.txt`" + `, and the ` + "`THIRD_PARTY_NOTICES`" + ` of a release have them too.

| package | licence |
| --- | --- |
`)
	for _, p := range packages {
		fmt.Fprintf(&page, "| %s | %s |\n", p.name, p.License)
	}
	_, err := io.WriteString(w, page.String())
	return err
}

// writeNotices writes the licences and notices of the modules, one after the other.
func writeNotices(w io.Writer, modules []module) error {
	var text strings.Builder
	text.WriteString("The programs of this release have parts of the following, under the licences below.\n")
	for _, m := range modules {
		for _, notice := range m.notices {
			fmt.Fprintf(&text, "\n%s\n%s %s, %s\n%s\n\n%s\n", strings.Repeat("=", 80), m.Path, m.Version, notice.name, strings.Repeat("=", 80), strings.TrimSpace(notice.text))
		}
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// The parts of SPDX 2.3 that are written: https://spdx.github.io/spdx-spec/v2.3.
type (
	document struct {
		Version       string         `json:"spdxVersion"`
		DataLicense   string         `json:"dataLicense"`
		ID            string         `json:"SPDXID"`
		Name          string         `json:"name"`
		Namespace     string         `json:"documentNamespace"`
		Creation      creation       `json:"creationInfo"`
		Packages      []packageInfo  `json:"packages"`
		Relationships []relationship `json:"relationships"`
	}
	creation struct {
		Created  string   `json:"created"`
		Creators []string `json:"creators"`
	}
	packageInfo struct {
		ID        string        `json:"SPDXID"`
		Name      string        `json:"name"`
		Version   string        `json:"versionInfo,omitempty"`
		Location  string        `json:"downloadLocation"`
		Analyzed  bool          `json:"filesAnalyzed"`
		Concluded string        `json:"licenseConcluded"`
		Declared  string        `json:"licenseDeclared"`
		Copyright string        `json:"copyrightText"`
		Refs      []externalRef `json:"externalRefs,omitempty"`
	}
	externalRef struct {
		Category string `json:"referenceCategory"`
		Type     string `json:"referenceType"`
		Locator  string `json:"referenceLocator"`
	}
	relationship struct {
		From string `json:"spdxElementId"`
		Type string `json:"relationshipType"`
		To   string `json:"relatedSpdxElement"`
	}
)

// notInID is what an identifier of SPDX cannot have.
var notInID = regexp.MustCompile(`[^A-Za-z0-9.]+`)

const home = "https://github.com/letswriteabook/realtime"

func writeSBOM(w io.Writer, name, version string, created time.Time, modules []module, packages []webPackage) error {
	const noAssertion, program = "NOASSERTION", "SPDXRef-Program"
	bill := document{
		Version: "SPDX-2.3", DataLicense: "CC0-1.0", ID: "SPDXRef-DOCUMENT", Name: strings.TrimSpace(name + " " + version),
		Namespace: home + "/spdx/" + name + "-" + version + "-" + strconv.FormatInt(created.Unix(), 10),
		Creation:  creation{created.Format(time.RFC3339), []string{"Tool: bill"}},
		Packages: []packageInfo{{
			ID: program, Name: name, Version: version, Location: "git+" + home, Concluded: "MIT", Declared: "MIT", Copyright: noAssertion,
		}},
		Relationships: []relationship{{"SPDXRef-DOCUMENT", "DESCRIBES", program}},
	}
	add := func(id, name, version, licence, locator string) {
		bill.Packages = append(bill.Packages, packageInfo{
			ID: id, Name: name, Version: version, Location: noAssertion, Concluded: licence, Declared: licence, Copyright: noAssertion,
			Refs: []externalRef{{"PACKAGE-MANAGER", "purl", locator}},
		})
		bill.Relationships = append(bill.Relationships, relationship{program, "DEPENDS_ON", id})
	}
	for _, m := range modules {
		add("SPDXRef-"+notInID.ReplaceAllString(m.Path, "-"), m.Path, m.Version, m.licence, "pkg:golang/"+m.Path+"@"+m.Version)
	}
	for _, p := range packages {
		// The @ of a scope is escaped: https://github.com/package-url/purl-spec.
		locator := "pkg:npm/" + strings.Replace(p.name, "@", "%40", 1) + "@" + p.Version
		add("SPDXRef-npm-"+notInID.ReplaceAllString(p.name, "-"), p.name, p.Version, p.License, locator)
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(bill)
}
