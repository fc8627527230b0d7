package e2e_test

import (
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDamageOnDisk flips one bit of an embedded log that is stopped: doctor and backup name the
// record, and the gateway finds it after its start.
func TestDamageOnDisk(t *testing.T) {
	t.Parallel()
	o := startOperated(t)
	o.publish("job", 1, 50)
	o.projected()
	env := maps.Clone(o.env)
	delete(env, "NATS_URL")
	env["DATA_DIR"] = o.gateway.env["DATA_DIR"]
	o.env = env
	o.stop()
	var whole examined
	o.command(0, &whole, "doctor", "--deep")
	if level := whole.line(t, "log", "every record of NOVEL_EVENTS"); level != "ok" {
		t.Errorf("a whole log is %s: %+v", level, whole)
	}
	flipped := false
	err := filepath.WalkDir(env["DATA_DIR"], func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".blk") || !strings.Contains(path, "NOVEL_EVENTS") {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if at := bytes.Index(content, []byte(`"id":"job-25"`)); at >= 0 {
			content[at+2] ^= 1
			flipped = true
			return os.WriteFile(path, content, 0o600)
		}
		return nil
	})
	if err != nil || !flipped {
		t.Fatalf("no bit was flipped: %v", err)
	}
	var damaged examined
	r := o.command(3, &damaged, "doctor", "--deep")
	if damaged.line(t, "log", "every record of NOVEL_EVENTS") != "fail" || !strings.Contains(r.stdout, "not readable: 25") {
		t.Errorf("doctor says %s", r.stdout)
	}
	if r := o.command(1, nil, "backup", filepath.Join(t.TempDir(), "backup")); !strings.Contains(r.reason(), "not readable: 25") {
		t.Errorf("backup says %s", r.reason())
	}

	o.start()
	eventually(t, "the gateway shows the damage", func() error {
		if page := o.get("/metrics"); !strings.Contains(page, "\nrealtime_eventstore_unreadable_records 1\n") {
			return errors.New("the metric is not 1")
		}
		return nil
	})
	eventually(t, "the gateway logs the damage", func() error {
		if !strings.Contains(o.output.tail(), "records of the log cannot be read") {
			return errors.New(o.output.tail())
		}
		return nil
	})
	o.stop()
	o.command(3, &damaged, "doctor")
	if level := damaged.line(t, "log", "last scrub"); level != "fail" {
		t.Errorf("without --deep the last scrub is %s", level)
	}
}
