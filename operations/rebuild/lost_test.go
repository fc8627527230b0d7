package rebuild_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/projections"
)

// A collection that somebody drops under traffic is not taken for whole while the
// newest events come into it, and a rebuild brings the projection on.
func TestCollectionDroppedUnderLiveTraffic(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.append(300)
	s.project()
	s.settled()
	if status, err := s.rebuild(projections.History).Status(t.Context()); err != nil || status.Lost {
		t.Errorf("before: %+v, %v", status, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var traffic sync.WaitGroup
	traffic.Go(func() { // stopped by cancel
		for ctx.Err() == nil {
			if err := s.appendOne(context.WithoutCancel(ctx)); err != nil {
				t.Errorf("append: %v", err)
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	})
	defer traffic.Wait()
	defer cancel()
	if err := s.db.Collection("novel_job_events").Drop(t.Context()); err != nil {
		t.Fatal(err)
	}
	dropped, err := s.log.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(patience)
	for { // events come into the collection, and the floor stays
		status, err := s.rebuild(projections.History).Status(t.Context())
		if err == nil && status.Lost && status.Documents > 0 && status.LagEvents > 20 {
			if status.Floor > dropped.Last {
				t.Errorf("floor %d, dropped at %d", status.Floor, dropped.Last)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%+v, %v", status, err)
		}
		time.Sleep(20 * time.Millisecond) // Nothing tells.
	}
	r := s.rebuild(projections.History)
	if err := r.Fill(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if swapped, err := r.Swap(t.Context(), 5); err != nil {
		t.Fatalf("%+v, %v", swapped, err)
	}
	cancel()
	traffic.Wait()
	s.settled()
	s.equal()
	if status, err := r.Status(t.Context()); err != nil || status.Lost || status.Floor != status.Head {
		t.Errorf("after: %+v, %v", status, err)
	}
}
