package drills_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/lab/drills"
	"github.com/letswriteabook/realtime/lab/processes"
	"github.com/letswriteabook/realtime/lab/report"
)

// Every drill, small, on real processes. How long a recovery may take is left to the
// runs of operators: here the neighbours have the processors, too.
func TestDrills(t *testing.T) {
	t.Parallel()
	for _, drill := range drills.Drills() {
		t.Run(drill.Name, func(t *testing.T) {
			t.Parallel()
			drill.Limit = 0
			dir := t.TempDir()
			got, err := drills.Run(t.Context(), drill, drills.Options{
				Scale:      drills.Scale{Events: 120, Outage: time.Second},
				Executable: executable(t), Dir: dir, Command: "go test", Log: func(line string) { t.Log(line) },
			})
			if err != nil {
				t.Fatal(err)
			}
			result := got.Result
			if result.Status != report.Passed {
				t.Fatalf("%s: %s", result.Status, result.Reason)
			}
			if result.Verdict.Acknowledged < 600 || result.Verdict.Delivered == 0 || result.RecoveryMillis == 0 {
				t.Errorf("too little happened: %+v", result)
			}
			for _, check := range result.Checks {
				if !check.OK {
					t.Errorf("passed with %+v", check)
				}
			}
			line := result.Timeline
			if line == nil || len(line.Windows) == 0 || len(line.Attempted) < 3 || sum(line.Delivered) == 0 || sum(line.Acknowledged) == 0 {
				t.Fatalf("the timeline is not whole: %+v", line)
			}
			if drill.System.Mongo && result.Verdict.Projected == 0 {
				t.Error("MongoDB was not read back")
			}
			if _, err := os.Stat(filepath.Join(dir, drill.Name, "lab")); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the system's folder is left behind: %v", err)
			}
			if err := got.Write(filepath.Join(dir, "report")); err != nil {
				t.Error(err)
			}
		})
	}
}

func sum(counts []int) (total int) {
	for _, count := range counts {
		total += count
	}
	return total
}

// An interrupted drill has no report, and leaves nothing.
func TestInterruptedDrill(t *testing.T) {
	t.Parallel()
	drill, err := drills.Find("redis-outage")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	dir := t.TempDir()
	_, err = drills.Run(ctx, drill, drills.Options{
		Scale: drills.Scale{Outage: 5 * time.Minute}, Executable: executable(t), Dir: dir,
		Log: func(line string) {
			if strings.HasPrefix(line, "fault:") {
				cancel()
			}
		},
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, drill.Name, "lab")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the system's folder is left behind: %v", err)
	}
}

func TestWhatCannotRun(t *testing.T) {
	if _, err := drills.Find("earthquake"); !errors.Is(err, drills.ErrNoDrill) || !strings.Contains(err.Error(), "redis-outage") {
		t.Errorf("an unknown drill: %v", err)
	}
	for field, scale := range map[string]drills.Scale{"events": {Events: -1}, "outage": {Outage: time.Hour}} {
		if err := scale.Validate(); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
	drill, err := drills.Find("redis-outage")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", "")
	if _, err := drills.Run(t.Context(), drill, drills.Options{Executable: "realtime", Dir: t.TempDir()}); !errors.Is(err, processes.ErrNoProgram) {
		t.Errorf("without redis-server: %v", err)
	}
}
