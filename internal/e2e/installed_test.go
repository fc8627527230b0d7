package e2e_test

import (
	buildinfofile "debug/buildinfo"
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/internal/buildinfo"
	"github.com/letswriteabook/realtime/internal/testkit/gatewaykit"
)

func TestVersionCommand(t *testing.T) {
	t.Parallel()
	r := run(t, nil, "", "version", "-o", "json")
	var info buildinfo.Info
	if err := json.Unmarshal([]byte(r.stdout), &info); err != nil || r.code != 0 || info.Version == "" || info.Contract != 1 {
		t.Errorf("status %d, %v: %s%s", r.code, err, r.stdout, r.stderr)
	}
	if r := run(t, nil, "", "version"); r.code != 0 || !strings.Contains(r.stdout, "contract  1\n") {
		t.Errorf("status %d: %s%s", r.code, r.stdout, r.stderr)
	}
}

// TestHealthCommand asks a gateway that runs, and an address where none does.
func TestHealthCommand(t *testing.T) {
	t.Parallel()
	g := gatewaykit.Start(t, nil)
	_, port, _ := strings.Cut(strings.TrimPrefix(g.URL, "http://"), ":")
	tests := []struct {
		name   string
		env    settings
		args   []string
		code   int
		stdout string
	}{
		{"by the settings", settings{"PORT": port, "HOST": "0.0.0.0"}, []string{"health"}, 0, "ready\n"},
		{"by its address", nil, []string{"health", "--url", g.URL}, 0, "ready\n"},
		{"the process alone", nil, []string{"health", "--url", g.URL, "--live"}, 0, "alive\n"},
		{"nobody answers", nil, []string{"health", "--url", "http://127.0.0.1:1"}, 1, ""},
		{"no gateway", nil, []string{"health", "--url", g.URL + "/internal"}, 1, ""},
		{"an argument too many", nil, []string{"health", "now"}, 2, ""},
	}
	for _, test := range tests {
		if r := run(t, test.env, "", test.args...); r.code != test.code || r.stdout != test.stdout {
			t.Errorf("%s: status %d, want %d: %s%s", test.name, r.code, test.code, r.stdout, r.stderr)
		}
	}
}

// TestBillOfMaterials: the bill of materials of the program names what is linked into it,
// with versions and licences, and the notices have the licences' texts.
func TestBillOfMaterials(t *testing.T) {
	t.Parallel()
	program := build(t, "realtime")
	bill := func(what string) string {
		t.Helper()
		command := exec.Command("go", "run", "./deploy/release/bill", what, program)
		command.Dir = "../.." // where web/package-lock.json is
		command.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=1800000000", "VERSION=v1.2.3")
		var message strings.Builder
		command.Stderr = &message
		out, err := command.Output()
		if err != nil {
			t.Fatalf("%s: %v\n%s", what, err, message.String())
		}
		return string(out)
	}
	type listed struct {
		Name, VersionInfo, LicenseDeclared string
		ExternalRefs                       []struct{ ReferenceLocator string }
	}
	var sbom struct {
		SPDXVersion   string
		CreationInfo  struct{ Created string }
		Packages      []listed
		Relationships []struct{ RelationshipType string }
	}
	if err := json.Unmarshal([]byte(bill("sbom")), &sbom); err != nil {
		t.Fatal(err)
	}
	info, err := buildinfofile.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	console := 0 // packages of the console, which the program embeds
	for _, p := range sbom.Packages {
		if len(p.ExternalRefs) > 0 && strings.HasPrefix(p.ExternalRefs[0].ReferenceLocator, "pkg:npm/") {
			console++
		}
	}
	// The program itself, and Go's library.
	if len(sbom.Packages) != len(info.Deps)+2+console || console == 0 || len(sbom.Relationships) != len(sbom.Packages) || sbom.SPDXVersion != "SPDX-2.3" || sbom.CreationInfo.Created != "2027-01-15T08:00:00Z" {
		t.Errorf("%d packages of %d modules: %+v", len(sbom.Packages), len(info.Deps), sbom.CreationInfo)
	}
	for _, dep := range info.Deps {
		if !slices.ContainsFunc(sbom.Packages, func(p listed) bool {
			return p.Name == dep.Path && p.VersionInfo == dep.Version && p.LicenseDeclared != "" && p.ExternalRefs[0].ReferenceLocator == "pkg:golang/"+dep.Path+"@"+dep.Version
		}) {
			t.Errorf("%s is not in the bill", dep.Path)
		}
	}
	if notices := bill("notices"); !strings.Contains(notices, "github.com/nats-io/nats-server/v2 v") || !strings.Contains(notices, "TERMS AND CONDITIONS") {
		t.Error("the notices have no licence of the NATS server")
	}
}
