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
