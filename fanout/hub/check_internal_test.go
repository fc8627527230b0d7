package hub

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/messaging"
)

// renewedLog begins a new epoch, in which every job has one record, between the answers
// for two batches of jobs.
type renewedLog struct {
	Log
	epoch  string
	asked  int
	renews int // which request for sequences
}

func (l *renewedLog) Extent(context.Context) (messaging.Extent, error) {
	return messaging.Extent{Epoch: l.epoch, First: 1, Last: 1000}, nil
}

func (l *renewedLog) LastSequences(_ context.Context, jobs []string) (map[string]uint64, error) {
	sequence := uint64(50)
	if l.asked++; l.asked >= l.renews {
		l.epoch, sequence = "two", 1
	}
	last := make(map[string]uint64)
	for _, job := range jobs {
		last[job] = sequence
	}
	return last, nil
}

// TestCheckDuringARenewal: a check in which the log begins a new epoch leaves no room that
// it compares after that in the old one, and moves no room back.
func TestCheckDuringARenewal(t *testing.T) {
	t.Parallel()
	for renews := 1; renews <= 3; renews++ {
		t.Run(fmt.Sprint("request ", renews), func(t *testing.T) {
			t.Parallel()
			log := &renewedLog{epoch: "one", renews: renews}
			hub, err := New(log, nil, nil, messaging.DefaultCatalogue(), plainEncoder{}, DefaultConfig(), slog.New(slog.DiscardHandler), prometheus.NewRegistry())
			if err != nil {
				t.Fatal(err)
			}
			hub.epoch = "one"
			rooms := make([]*room, 3*checkBatch)
			for i := range rooms {
				rooms[i] = newRoom(fmt.Sprint(i), "", hub.erased)
				extent, head := messaging.Extent{Epoch: "one", First: 1}, uint64(50)
				if i%2 == 1 && i >= (renews-1)*checkBatch {
					extent, head = messaging.Extent{Epoch: "two", First: 1}, 1 // opened since
				}
				rooms[i].open(extent, head, rooms[i].openedAt)
			}
			if err := hub.check(t.Context(), slices.Clone(rooms), causeCheck); err != nil {
				t.Fatal(err)
			}
			for i, room := range rooms[(renews-1)*checkBatch:] {
				if room.epoch != "two" || room.head != 1 {
					t.Fatalf("room %d: epoch %s, head %d", i, room.epoch, room.head)
				}
			}
			if hub.Epoch() != "two" {
				t.Errorf("the hub's epoch is %s", hub.Epoch())
			}
		})
	}
}
