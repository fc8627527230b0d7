package e2e_test

import (
	"errors"
	"maps"
	"strings"
	"testing"
	"time"
)

// TestSessionSettings changes for how long sessions are recovered and the room for their
// states: the change is shown before it is made, made once, noted, and found by the doctor
// where the settings of a process differ.
func TestSessionSettings(t *testing.T) {
	t.Parallel()
	o := startOperated(t, settings{"SOCKET_RECOVERY_TTL": "2m"})
	eventually(t, "the doctor finds the sessions", func() error {
		if r := run(t, o.env, "", "doctor", "-o", "json"); !strings.Contains(r.stdout, "recovered for 2m0s") {
			return errors.New(r.stdout)
		}
		return nil
	})
	var change struct {
		Before, After struct {
			SessionTTL      time.Duration
			SessionMaxBytes int64
		}
		Done bool
	}
	set := []string{"log", "set", "--recovery-ttl", "10m", "--session-bytes", "33554432", "--by", "a test"}
	o.command(0, &change, append(set, "--dry-run")...)
	if change.Done || change.Before.SessionTTL != 3*time.Minute || change.After.SessionTTL != 15*time.Minute || change.After.SessionMaxBytes != 32<<20 {
		t.Errorf("the dry run shows %+v", change)
	}
	o.command(0, &change, append(set, "--yes")...)
	if !change.Done {
		t.Errorf("the change shows %+v", change)
	}
	o.command(0, &change, append(set, "--yes")...)
	if change.Done {
		t.Error("what is so already was changed again")
	}
	if r := o.command(0, nil, "log", "set", "--history"); strings.Count(r.stdout, "a test") != 1 {
		t.Errorf("the history has:\n%s", r.stdout)
	}
	found := func(recovery string) (level, said string) {
		t.Helper()
		env := maps.Clone(o.env)
		env["SOCKET_RECOVERY_TTL"] = recovery
		o := *o
		o.env = env
		var report examined
		r := o.command(0, &report, "doctor")
		return report.line(t, "log", "sessions"), r.stdout
	}
	if level, said := found("2m"); level != "warn" || !strings.Contains(said, "--recovery-ttl") {
		t.Errorf("with another setting: %s\n%s", level, said)
	}
	if level, said := found("10m"); level != "ok" || !strings.Contains(said, "32.0 MiB") {
		t.Errorf("with the same setting: %s\n%s", level, said)
	}
	for _, wrong := range [][]string{{"--recovery-ttl", "0s"}, {"--session-bytes", "-1"}} {
		r := run(t, o.env, "", append([]string{"log", "set", "--yes", "--by", "a test"}, wrong...)...)
		if r.code == 0 {
			t.Errorf("%v was taken:\n%s", wrong, r.stdout)
		}
	}
}
