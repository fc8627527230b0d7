package gateway_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/letswriteabook/realtime/messaging"
)

// Rooms that nobody wants any more end while the log is away, whether they were
// opened or not, and so does all that was begun for them. The test counts the
// goroutines of the process, so that no other one may run beside it.
func TestAbandonedRoomsEndWhileTheLogIsAway(t *testing.T) {
	s := setup(t, options{withoutDB: true})
	visitor := s.connect()
	const jobs, opened = 5000, 250 // the opened ones are all behind at once
	for i := range opened {
		visitor.subscribe(fmt.Sprint("job-", i))
		expect(t, visitor, messaging.EventCaughtUp)
	}
	before := runtime.NumGoroutine() - opened // without that of the tail for each job
	s.log.set(func(l *memoryLog) { l.down = true })
	first := s.log.publish("elsewhere", 1)
	s.tail.lose(func(live messaging.Live) bool { return live.Sequence <= first+opened })
	for range 2 { // the first of each is lost, so that each room needs a repair
		for i := range opened {
			s.log.publish(fmt.Sprint("job-", i), 1)
		}
	}
	wait(t, "all rooms to be behind", func() bool { return s.metric("realtime_fanout_repairs_total") >= opened })
	for i := range jobs {
		job := request{JobID: fmt.Sprint("job-", i)}
		if i >= opened {
			visitor.emit("subscribe", job)
			expect(t, visitor, messaging.EventSubscribed)
		}
		visitor.emit("unsubscribe", job)
		expect(t, visitor, messaging.EventUnsubscribed)
	}
	t.Logf("%d rooms, %d goroutines more than at the start", int(s.metric("realtime_fanout_rooms")), runtime.NumGoroutine()-before)
	wait(t, "the rooms to end", func() bool { return s.metric("realtime_fanout_rooms") == 0 })
	wait(t, "what was begun for them to end", func() bool { return runtime.NumGoroutine() < before+20 })
	if s.tail.isFollowing("job-0") || s.tail.isFollowing(fmt.Sprint("job-", jobs-1)) {
		t.Error("the tail still follows a job that nobody wants")
	}

	s.log.set(func(l *memoryLog) { l.down = false })
	s.tail.lose(nil)
	visitor.subscribe("job-0")
	last := s.log.publish("job-0", 1)
	collect(t, visitor, last, func(message) {})
}
