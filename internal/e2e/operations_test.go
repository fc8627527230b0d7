package e2e_test

import (
	"strings"
	"syscall"
	"testing"

	"github.com/letswriteabook/realtime/eventstore/lease"
)

// TestInterruptedOperations: a rebuild that is interrupted is listed with the command that
// goes on with it; it can be resumed, and undone instead.
func TestInterruptedOperations(t *testing.T) {
	t.Parallel()
	o := startOperated(t)
	o.publish("job", 1, 900)
	o.projected()
	list := func() (operations []lease.Operation) {
		t.Helper()
		o.command(0, &operations, "operations")
		return operations
	}
	interrupted := func() {
		t.Helper()
		r := o.signalled(syscall.SIGINT, "history: ", "projections", "rebuild", "history")
		if r.code != 1 {
			t.Fatalf("the interrupted rebuild exits with %d:\n%s", r.code, r.stderr)
		}
		all := list()
		if len(all) != 1 || all[0].Target != "projection/history" || all[0].State != lease.Interrupted || all[0].Resume != "realtime projections rebuild history" {
			t.Fatalf("operations lists %+v", all)
		}
	}
	interrupted()
	o.command(0, nil, strings.Fields(list()[0].Resume)[1:]...)
	if all := list(); len(all) != 0 {
		t.Errorf("after the rebuild was resumed, operations lists %+v", all)
	}
	o.command(0, nil, "projections", "swap", "history")

	interrupted()
	if r := o.command(0, nil, "operations", "undo", "projection/history"); !strings.Contains(r.stdout, "undone") {
		t.Errorf("undo prints:\n%s", r.stdout)
	}
	if all := list(); len(all) != 0 {
		t.Errorf("after the undoing, operations lists %+v", all)
	}
	o.command(3, nil, "operations", "undo", "projection/history")
	o.command(0, nil, "projections", "verify")
}

// TestOperationsAreResumedAsTheyBegan: the listed command of an interrupted operation does
// what the interrupted one was asked for: a rebuild is swapped, and a replay into the log
// sends the events that were selected, and no other.
func TestOperationsAreResumedAsTheyBegan(t *testing.T) {
	t.Parallel()
	o := startOperated(t)
	o.publish("a", 1, 900)
	o.publish("b", 1, 20)
	o.projected()
	resume := func(at string, args ...string) {
		t.Helper()
		o.signalled(syscall.SIGINT, at, args...)
		var all []lease.Operation
		o.command(0, &all, "operations")
		if len(all) != 1 || all[0].State != lease.Interrupted {
			t.Fatalf("after %q, operations lists %+v", args, all)
		}
		t.Log(all[0].Resume)
		o.command(0, nil, strings.Fields(all[0].Resume)[1:]...)
		if o.command(0, &all, "operations"); len(all) != 0 {
			t.Errorf("after %q was resumed, operations lists %+v", args, all)
		}
	}

	resume("history: ", "projections", "rebuild", "history", "--swap", "--drop-old")
	var status []struct {
		Shadow *struct{}
		Old    []string
	}
	o.command(0, &status, "projections", "status", "history")
	if len(status) != 1 || status[0].Shadow != nil || len(status[0].Old) > 0 {
		t.Errorf("the rebuild was not swapped, or the old collection not dropped: %+v", status)
	}

	resume("replay", "replay", "--into", "log", "--job", "b", "--rate", "5")
	for job, want := range map[string]int{"a": 900, "b": 40} {
		lines := o.command(0, nil, "log", "job", job, "--limit", "1000", "-o", "json").stdout
		if events := strings.Count(lines, "\n"); events != want {
			t.Errorf("job %s has %d events, want %d", job, events, want)
		}
	}
}
