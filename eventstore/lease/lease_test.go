package lease_test

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/eventstore/lease"
	"github.com/letswriteabook/realtime/internal/testkit/logkit"
)

func operations(t *testing.T, conn *nats.Conn) *lease.List {
	t.Helper()
	list, err := lease.New(conn, "")
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// One operation at a time runs on a thing; the second is told who runs the first.
func TestOneOperationAtATime(t *testing.T) {
	t.Parallel()
	conn := logkit.Conn(t)
	logkit.Open(t, conn)
	first, second := operations(t, conn), operations(t, conn)
	if all, err := first.List(t.Context()); err != nil || len(all) != 0 {
		t.Fatalf("%+v, %v", all, err)
	}
	history := lease.Operation{Target: "projection/history", Kind: "rebuild", By: "somebody", Resume: "the command"}
	ctx, held, err := first.Begin(t.Context(), history)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := second.Begin(t.Context(), history); !errors.Is(err, lease.ErrRuns) || !strings.Contains(err.Error(), "somebody") {
		t.Errorf("a second one begins: %v", err)
	}
	if _, _, err := second.Begin(t.Context(), lease.Operation{Target: lease.WholeLog, Kind: "restore"}); !errors.Is(err, lease.ErrRuns) {
		t.Errorf("a restore begins beside it: %v", err)
	}
	_, other, err := second.Begin(t.Context(), lease.Operation{Target: "job/1", Kind: "erase"})
	if err != nil {
		t.Errorf("one on another thing: %v", err)
	}
	if err := second.Forget(t.Context(), history.Target); !errors.Is(err, lease.ErrRuns) {
		t.Errorf("one that runs is forgotten: %v", err)
	}
	if err := held.End(ctx, errors.New("it broke")); err != nil {
		t.Error(err)
	}
	if err := other.End(t.Context(), nil); err != nil {
		t.Error(err)
	}
	all, err := second.List(t.Context())
	if err != nil || len(all) != 1 || all[0].State != lease.Failed || all[0].Error != "it broke" || all[0].Resume != "the command" {
		t.Errorf("%+v, %v", all, err)
	}
	interrupted, cancel := context.WithCancel(t.Context())
	ctx, held, err = second.Begin(interrupted, history)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := held.End(ctx, ctx.Err()); err != nil {
		t.Error(err)
	}
	if all, err = first.List(t.Context()); err != nil || len(all) != 1 || all[0].State != lease.Interrupted {
		t.Errorf("%+v, %v", all, err)
	}
	if err := first.Forget(t.Context(), history.Target); err != nil {
		t.Error(err)
	}
	if err := first.Forget(t.Context(), history.Target); !errors.Is(err, lease.ErrNone) {
		t.Errorf("forgotten twice: %v", err)
	}
}

// endedProcess returns a process that does not exist any more, on a system that says so.
func endedProcess(t *testing.T) *exec.Cmd {
	t.Helper()
	if lease.OwnPlace() == "" {
		t.Skip("this system does not say where the ids of processes are valid")
	}
	gone := exec.Command("true")
	if err := gone.Run(); err != nil {
		t.Skip(err)
	}
	return gone
}

// A process that does not exist here may exist in another PID namespace, under the same
// host name: its lease holds. One whose id another process has here is gone.
func TestHolderInAnotherNamespace(t *testing.T) {
	t.Parallel()
	conn := logkit.Conn(t)
	logkit.Open(t, conn)
	gone := endedProcess(t)
	list := operations(t, conn)
	erase := lease.Operation{Target: "job/1", Kind: "erase"}
	for name, one := range map[string]struct {
		holder func(*lease.Operation)
		want   lease.State
	}{
		"this process":          {func(*lease.Operation) {}, lease.Running},
		"gone":                  {func(o *lease.Operation) { o.PID, o.Started = gone.Process.Pid, 0 }, lease.Interrupted},
		"gone, its id reused":   {func(o *lease.Operation) { o.Started++ }, lease.Interrupted},
		"in another namespace":  {func(o *lease.Operation) { o.PID, o.Place = gone.Process.Pid, lease.OwnPlace()+"0" }, lease.Running},
		"of an earlier version": {func(o *lease.Operation) { o.PID, o.Place, o.Started = gone.Process.Pid, "", 0 }, lease.Running},
	} {
		_, held, err := list.Begin(t.Context(), erase)
		if err != nil {
			t.Fatal(err)
		}
		if err := lease.SetHolder(held, one.holder); err != nil {
			t.Fatal(err)
		}
		all, err := list.List(t.Context())
		if err != nil || len(all) != 1 || all[0].State != one.want {
			t.Errorf("%s: %+v, %v, want it %s", name, all, err, one.want)
		}
		_, second, err := list.Begin(t.Context(), erase)
		if one.want == lease.Running && !errors.Is(err, lease.ErrRuns) || one.want == lease.Interrupted && err != nil {
			t.Errorf("%s: a second operation begins with %v", name, err)
		}
		if err == nil {
			err = second.End(t.Context(), nil)
			if lost := held.End(t.Context(), nil); !errors.Is(lost, lease.ErrLost) {
				t.Errorf("%s: the first ends with %v, want ErrLost", name, lost)
			}
		} else {
			err = held.End(t.Context(), nil)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// The lease of a process that is gone ends at once on its machine, and what it left of a
// restore keeps gateways from making another log.
func TestOperationOfAProcessThatIsGone(t *testing.T) {
	t.Parallel()
	conn := logkit.Conn(t)
	logkit.Open(t, conn)
	gone := endedProcess(t)
	list := operations(t, conn)
	_, held, err := list.Begin(t.Context(), lease.Operation{Target: lease.WholeLog, Kind: "restore", Resume: "the command"})
	if err != nil {
		t.Fatal(err)
	}
	if err := lease.SetHolder(held, func(o *lease.Operation) { o.PID, o.Started = gone.Process.Pid, 0 }); err != nil {
		t.Fatal(err)
	}
	all, err := list.List(t.Context())
	if err != nil || len(all) != 1 || all[0].State != lease.Interrupted {
		t.Fatalf("%+v, %v", all, err)
	}
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteStream(t.Context(), "NOVEL_EVENTS"); err != nil {
		t.Fatal(err)
	}
	impatient := eventstore.DefaultConfig()
	impatient.OpenTimeout = impatient.AckTimeout / 2
	if _, err := eventstore.Open(t.Context(), conn, impatient, nil, prometheus.NewRegistry()); err == nil {
		t.Error("a gateway opens the log in the middle of a restore")
	}
	if _, err := js.Stream(t.Context(), "NOVEL_EVENTS"); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Errorf("a gateway makes another log in the middle of a restore: %v", err)
	}
	if _, _, err := list.Begin(t.Context(), lease.Operation{Target: "job/1", Kind: "erase"}); !errors.Is(err, lease.ErrRuns) {
		t.Errorf("an erasure begins in the middle of a restore: %v", err)
	}
	ctx, again, err := list.Begin(t.Context(), lease.Operation{Target: lease.WholeLog, Kind: "restore"})
	if err != nil {
		t.Fatalf("it cannot be repeated: %v", err)
	}
	if err := again.End(ctx, nil); err != nil {
		t.Error(err)
	}
	if err := held.End(t.Context(), nil); !errors.Is(err, lease.ErrLost) {
		t.Errorf("the first one ends with %v, want ErrLost", err)
	}
}
