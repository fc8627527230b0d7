package eventstore_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/eventstore/lease"
)

// In a cluster, too, one of many operations that begin at once on one thing runs, and
// each of the others is told who runs it.
func TestOperationsAtOnceInACluster(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a cluster")
	}
	c := startNodes(t)
	b := open(t, connect(t, c.urls()), func(cfg *eventstore.Config) {
		cfg.Replicas, cfg.MaxBytes, cfg.DeadLetterMaxBytes, cfg.OpenTimeout = 3, 64<<20, 8<<20, electionPatience
	})
	// So that the list is there, with as many replicas as the log has.
	first := begin(t, b, "another target")
	if err := first.End(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	for round := range 5 {
		const many = 8
		var beginning sync.WaitGroup
		var mu sync.Mutex // guards held
		var held []*lease.Held
		for range many {
			conn := connect(t, c.urls())
			beginning.Go(func() {
				list, err := lease.New(conn, "")
				if err != nil {
					t.Error(err)
					return
				}
				_, one, err := list.Begin(t.Context(), lease.Operation{Target: fmt.Sprint("target-", round), Kind: "swap", By: "tester"})
				switch {
				case err == nil:
					mu.Lock()
					held = append(held, one)
					mu.Unlock()
				case !errors.Is(err, lease.ErrRuns) || !strings.Contains(err.Error(), "by tester"):
					t.Errorf("one that was not first: %v", err)
				}
			})
		}
		beginning.Wait()
		if len(held) != 1 {
			t.Errorf("%d operations run, want 1", len(held))
		}
		for _, one := range held {
			if err := one.End(t.Context(), nil); err != nil {
				t.Error(err)
			}
		}
	}
}

// begin begins an operation, once the cluster is ready for it.
func begin(t *testing.T, b *bundle, target string) (held *lease.Held) {
	t.Helper()
	list, err := lease.New(b.conn, "")
	if err != nil {
		t.Fatal(err)
	}
	afterElections(t, "the first operation", func() bool {
		_, held, err = list.Begin(t.Context(), lease.Operation{Target: target, Kind: "rebuild"})
		return err == nil
	})
	return held
}
