package e2e_test

import (
	"encoding/json"
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
