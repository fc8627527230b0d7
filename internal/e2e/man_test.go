package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestManualPages: a release has a page for each command, with the same bytes each time,
// and completions.
func TestManualPages(t *testing.T) {
	t.Parallel()
	var pages [2]string
	for i := range pages {
		folder := t.TempDir()
		if r := run(t, nil, "", "man", folder); r.code != 0 {
			t.Fatalf("status %d: %s", r.code, r.stderr)
		}
		for _, name := range []string{"realtime", "realtime-serve", "realtime-config-check", "realtime-backup"} {
			page, err := os.ReadFile(filepath.Join(folder, name+".1"))
			if err != nil {
				t.Fatal(err)
			}
			pages[i] += string(page)
		}
		if _, err := os.Stat(filepath.Join(folder, "realtime-man.1")); err == nil {
			t.Error("a hidden command has a page")
		}
	}
	if pages[0] != pages[1] || !strings.Contains(pages[0], "CONFIG_FILE") {
		t.Error("the pages differ, or lack what the commands say")
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if r := run(t, nil, "", "completion", shell); r.code != 0 || !strings.Contains(r.stdout, "realtime") {
			t.Errorf("%s: status %d: %s", shell, r.code, r.stderr)
		}
	}
}
