package hub

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/letswriteabook/realtime/messaging"
)

// faultyStores is a log with two records of each job, and a tail. The first read of the
// log, and the first call of Unfollow, panic when they are to.
type faultyStores struct {
	Log
	reads, unfollows, follows atomic.Int32
	readPanics, leavePanics   bool
	// extent and last answer in place of what is always the same.
	extent   func() messaging.Extent
	last     func() uint64
	onFollow func(jobID string)
}

func (s *faultyStores) Follow(_ context.Context, jobID string) error {
	s.follows.Add(1)
	if s.onFollow != nil {
		s.onFollow(jobID)
	}
	return nil
}

func (s *faultyStores) Unfollow(string) {
	if s.unfollows.Add(1) == 1 && s.leavePanics {
		panic("for the test")
	}
}

func (s *faultyStores) Extent(context.Context) (messaging.Extent, error) {
	if s.extent != nil {
		return s.extent(), nil
	}
	return messaging.Extent{Epoch: "epoch", First: 1, Last: 2}, nil
}

func (s *faultyStores) LastSequence(context.Context, string) (uint64, error) {
	if s.last != nil {
		return s.last(), nil
	}
	return 0, nil
}

func (s *faultyStores) ReadAfter(_ context.Context, jobID string, after uint64, _ int) (records []messaging.Record, err error) {
	if s.reads.Add(1) == 1 && s.readPanics {
		panic("for the test")
	}
	for sequence := after + 1; sequence <= 2; sequence++ {
		records = append(records, recordOf(jobID, sequence))
	}
	return records, nil
}

func recordOf(jobID string, sequence uint64) messaging.Record {
	body := `{"version":1,"kind":"domain","jobId":"` + jobID + `","event":{"type":"t","occurredAt":"2026-01-02T03:04:05Z"}}`
	return messaging.Record{
		JobID: jobID, Kind: messaging.KindDomain, Body: []byte(body),
		Position: messaging.Position{Epoch: "epoch", Sequence: sequence},
	}
}

// hubOn returns a hub on these stores that runs, and what stops it.
func hubOn(t *testing.T, stores *faultyStores) (hub *Hub, stop func()) {
	t.Helper()
	hub, err := New(stores, stores, nil, messaging.DefaultCatalogue(), plainEncoder{}, DefaultConfig(), slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	hub.crew.begin(ctx)
	return hub, func() { cancel(); hub.crew.end() }
}

// TestPanicInTheFirstRepairOfARoom: a room that has missed records while it was opened, and
// whose repair panics, is repaired again, and hands on every record.
func TestPanicInTheFirstRepairOfARoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		stores := &faultyStores{readPanics: true}
		hub, stop := hubOn(t, stores)
		// The second record is delivered before the room is open, and the first one never.
		stores.onFollow = func(jobID string) { hub.Live(messaging.Live{Record: recordOf(jobID, 2), Previous: 1}) }
		room, err := hub.enter("job", "client")
		if err != nil {
			t.Fatal(err)
		}
		<-room.opened
		time.Sleep(time.Minute) // of fake time, in which the repair is run again
		synctest.Wait()
		if events, complete := room.newest(10); !complete || len(events) != 2 || room.behind {
			t.Errorf("%d events, complete: %t, behind: %t", len(events), complete, room.behind)
		}
		if follows := stores.follows.Load(); follows != 1 {
			t.Errorf("the job was followed %d times", follows)
		}
		if n := testutil.ToFloat64(hub.metrics.panics); n != 1 {
			t.Errorf("%v panics are counted", n)
		}
		stop()
	})
}

// TestPanicWhileARoomIsLeft: a panic of the tail that unfollows a job does not keep the next
// room of the job from opening.
func TestPanicWhileARoomIsLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		stores := &faultyStores{leavePanics: true}
		hub, stop := hubOn(t, stores)
		first, err := hub.enter("job", "client")
		if err != nil {
			t.Fatal(err)
		}
		<-first.opened
		hub.exit(first, "client")
		hub.closeIdle()
		next, err := hub.enter("job", "client")
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		select {
		case <-next.opened:
		default:
			t.Error("the next room of the job waits for the one that was left")
		}
		if n := testutil.ToFloat64(hub.metrics.panics); next == first || n != 1 {
			t.Errorf("the same room: %t, %v panics are counted", next == first, n)
		}
		stop()
	})
}

// A panic of the tail that unfollows a job whose room never opened happens once, and the
// next room of the job opens.
func TestPanicWhileARoomThatNeverOpenedIsLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		answers := make(chan struct{})
		stores := &faultyStores{leavePanics: true, onFollow: func(string) { <-answers }}
		hub, stop := hubOn(t, stores)
		first, err := hub.enter("job", "client")
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // until the first room waits for the tail
		hub.exit(first, "client")
		hub.closeIdle()
		close(answers)
		next, err := hub.enter("job", "client")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute) // of fake time, in which what panicked is run again
		synctest.Wait()
		select {
		case <-next.opened:
		default:
			t.Error("the next room of the job does not open")
		}
		if n, unfollows := testutil.ToFloat64(hub.metrics.panics), stores.unfollows.Load(); next == first || n != 1 || unfollows != 1 {
			t.Errorf("the same room: %t, %v panics are counted, %d calls of Unfollow", next == first, n, unfollows)
		}
		stop()
	})
}

// What the log removes, and a new epoch that it begins, between the two requests that open a
// room are not missed.
func TestTheLogChangesWhileARoomOpens(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		after messaging.Extent
		head  uint64 // of the job in the epoch after the change
	}{
		"a purge":     {after: messaging.Extent{Epoch: "epoch", First: 100, Last: 99}},
		"a new epoch": {after: messaging.Extent{Epoch: "another", First: 1, Last: 3}, head: 3},
	}
	for name, test := range tests {
		for _, first := range []string{"Extent", "LastSequence"} {
			t.Run(name+" after "+first, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					extent, head, opening := messaging.Extent{Epoch: "epoch", First: 1, Last: 50}, uint64(50), false
					change := func(request string) {
						if opening && request == first {
							extent, head = test.after, test.head
						}
					}
					stores := &faultyStores{
						extent: func() messaging.Extent { defer change("Extent"); return extent },
						last:   func() uint64 { defer change("LastSequence"); return head },
					}
					hub, stop := hubOn(t, stores)
					hub.loadEpoch(t.Context())
					opening = true
					room, err := hub.enter("job", "client")
					if err != nil {
						t.Fatal(err)
					}
					<-room.opened
					if room.head == 0 && room.first <= 1 {
						t.Error("the room counts as one of a job that has never had a record")
					}
					if room.epoch == "another" && room.head != test.head {
						t.Errorf("head %d in the new epoch, want %d", room.head, test.head)
					}
					stop()
				})
			})
		}
	}
}

// The rooms that may be closed are known without a look at the others.
func TestIdleRooms(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hub, stop := hubOn(t, &faultyStores{})
		enter := func(jobID string) *room {
			t.Helper()
			room, err := hub.enter(jobID, "client")
			if err != nil {
				t.Fatal(err)
			}
			return room
		}
		expect := func(when string, rooms, idle int) {
			t.Helper()
			if len(hub.rooms) != rooms || len(hub.idle) != idle {
				t.Errorf("%s: %d rooms, %d of them idle, want %d and %d", when, len(hub.rooms), len(hub.idle), rooms, idle)
			}
		}
		used, left, twice := enter("used"), enter("left"), enter("twice")
		enter("twice")
		synctest.Wait()
		hub.exit(left, "client")
		hub.exit(twice, "client")
		expect("one has left", 3, 1)
		enter("left")
		expect("and is in again", 3, 0)
		hub.exit(left, "client")
		hub.closeIdle() // at once, because there are no events
		expect("it is closed", 2, 0)
		hub.exit(used, "client")
		hub.exit(twice, "client")
		expect("all have left", 2, 2)
		hub.closeIdle()
		expect("all are closed", 0, 0)
		stop()
	})
}
