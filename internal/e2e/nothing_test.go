package e2e_test

import (
	"strings"
	"testing"
)

// TestNothingIsThere: a command that is given the name of something that is not there, or
// a range with nothing in it, says so and exits with 3. None of them takes it for success.
func TestNothingIsThere(t *testing.T) {
	t.Parallel()
	o := startOperated(t)
	o.publish("job", 1, 3)
	o.projected()
	for _, args := range [][]string{
		{"log", "job", "jbo"},
		{"log", "job", "job", "--since", "900"},
		{"log", "job", "jbo", "-o", "json"},
		{"log", "event", "job-9"},
		{"log", "event", "job-1", "--job", "jbo"},
		{"log", "event", "--sequence", "900"},
		{"replay", "--job", "jbo"},
		{"replay", "--from", "900"},
		{"replay", "--kind", "domian", "--dry-run"},
		{"erase", "jbo", "--reason", "r"},
		{"erase", "jbo", "--reason", "r", "--dry-run"},
		{"audit", "list", "--job", "jbo"},
		{"deadletter", "list", "--job", "jbo"},
		{"deadletter", "list", "--job", "jbo", "-o", "json"},
		{"deadletter", "show", "7"},
		{"deadletter", "redrive", "7"},
		{"deadletter", "redrive", "--job", "jbo"},
		{"deadletter", "purge", "7"},
		{"deadletter", "purge", "--job", "jbo"},
		{"deadletter", "purge", "--until", "2020-01-01T00:00:00Z"},
		{"deadletter", "purge", "--until", "2020-01-01T00:00:00Z", "--dry-run"},
		{"deadletter", "redrive", "--reason", "too-large"},
		{"deadletter", "redrive", "--since", "2020-01-01T00:00:00Z", "--dry-run"},
		{"operations", "undo", "projection/hsitory"},
	} {
		if r := o.command(3, nil, args...); !strings.Contains(r.reason(), "nothing matches") {
			t.Errorf("%q says %q", args, r.reason())
		}
	}
	// There is none, and nobody is named who should have one.
	for _, args := range [][]string{
		{"audit", "list"},
		{"deadletter", "list"},
		{"deadletter", "list", "--reason", "too-large"},
		{"deadletter", "purge", "--all"},
		{"deadletter", "redrive"},
		{"deadletter", "redrive", "--limit", "5"},
		{"operations"},
	} {
		o.command(0, nil, args...)
	}
	// A name or a value that can never be right is wrong usage.
	for _, args := range [][]string{
		{"projections", "status", "hsitory"},
		{"projections", "verify", "hsitory"},
		{"projections", "rebuild", "hsitory"},
		{"deadletter", "list", "--reason", "tool-arge"},
		{"log", "set", "--replicas", "-1", "--yes"},
		{"log", "set", "--max-bytes", "-1", "--yes"},
		{"log", "set", "--max-age", "-1h", "--yes"},
		{"log", "set", "--dedup-window", "-1s", "--yes"},
		{"log", "set", "--session-bytes", "-1", "--yes"},
	} {
		o.command(2, nil, args...)
	}
}
