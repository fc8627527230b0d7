package e2e_test

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/internal/testkit"
)

// examined is what doctor prints.
type examined struct {
	Checks []struct{ Level, Area, Name, Found, Do string }
	Fail   int
}

// line returns the level of a check.
func (e examined) line(t *testing.T, area, name string) string {
	t.Helper()
	for _, check := range e.Checks {
		if check.Area == area && strings.HasPrefix(check.Name, name) {
			return check.Level
		}
	}
	t.Errorf("nothing about %s, %s in %+v", area, name, e.Checks)
	return ""
}

func TestDoctor(t *testing.T) {
	t.Parallel()
	o := startOperated(t)
	redis := testkit.StartRedis(t)
	o.publish("job", 1, 3)
	env := maps.Clone(o.env)
	env["REDIS_URL"] = redis.URL()
	o.env = env
	var found examined
	o.command(0, &found, "doctor")
	for _, check := range []struct{ area, name, level string }{
		{"settings", "environment", "ok"},
		{"redis", "reachable", "ok"},
		{"redis", "version", "ok"},
		{"redis", "clock", "ok"},
		{"redis", "output buffer", "ok"},
		{"mongodb", "reachable", "ok"},
		{"mongodb", "kind", "warn"}, // FerretDB
		{"mongodb", "clock", "ok"},
		{"nats", "reachable", "ok"},
		{"nats", "version", "ok"},
		{"nats", "clock", "ok"},
		{"log", "NOVEL_EVENTS", "ok"},
		{"log", "settings of NOVEL_EVENTS", "ok"},
		{"log", "room in NOVEL_EVENTS", "ok"},
		{"log", "replicas of NOVEL_EVENTS", "warn"}, // one
		{"log", "erasures", "ok"},
	} {
		if level := found.line(t, check.area, check.name); level != check.level && level != "" {
			// A busy machine answers late; everything else is a fact.
			if check.name != "reachable" || level != "warn" {
				t.Errorf("%s, %s: %s, want %s", check.area, check.name, level, check.level)
			}
		}
	}
	o.command(3, nil, "doctor", "--strict")

	env["STREAM_MAX_AGE"], env["REDIS_URL"] = "720h", "redis://user:secret@127.0.0.1:1"
	r := o.command(3, &found, "doctor")
	if found.line(t, "redis", "reachable") != "fail" || found.line(t, "log", "settings of NOVEL_EVENTS") != "warn" {
		t.Errorf("it finds %s", r.stdout)
	}
	if strings.Contains(r.stdout+r.stderr, "secret") {
		t.Errorf("it tells the password: %s%s", r.stdout, r.stderr)
	}
	env["PORT"] = "-1"
	if r = o.command(3, &found, "doctor"); found.Fail != 1 || found.line(t, "settings", "environment") != "fail" {
		t.Errorf("it finds %s", r.stdout)
	}
	o.command(2, nil, "doctor", "now")
}

// TestDoctorOfAFolder looks at a log inside a process that is not there, and at one
// that is.
func TestDoctorOfAFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	look := func(env settings) (found examined) {
		t.Helper()
		r := run(t, env, "", "doctor", "-o", "json")
		if err := json.Unmarshal([]byte(r.stdout), &found); err != nil || r.code != 0 {
			t.Fatalf("status %d, %v:\n%s%s", r.code, err, r.stdout, r.stderr)
		}
		return found
	}
	env := settings{"DATA_DIR": dir + "/log"}
	if found := look(env); found.line(t, "system", "folder") != "skip" {
		t.Errorf("of no folder: %+v", found)
	}
	g := startGateway(t, env)
	if found := look(env); found.line(t, "system", "folder") != "skip" {
		t.Errorf("of a folder in use: %+v", found)
	}
	g.stop()
	found := look(env)
	if found.line(t, "system", "folder") != "ok" || found.line(t, "log", "NOVEL_EVENTS") != "ok" || found.line(t, "system", "disk") == "" {
		t.Errorf("of a folder: %+v", found)
	}
}
