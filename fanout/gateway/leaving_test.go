package gateway_test

import (
	"testing"
	"testing/synctest"

	"github.com/letswriteabook/realtime/messaging"
)

// TestClientThatLeavesDuringARead: a read that ends because its client has left is no
// outage of the log.
func TestClientThatLeavesDuringARead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := setup(t, options{pipe: true, config: unhurried, withoutDB: true})
		last := s.log.publish("job", 300)
		keeper, visitor := s.connect(), s.connect()
		keeper.subscribe("job") // opens the room
		collect(t, keeper, last, func(message) {})
		gate := make(chan struct{})
		s.log.set(func(l *memoryLog) { l.gate = gate })
		visitor.emit("subscribe", map[string]any{"jobId": "job", "since": 0})
		expect(t, visitor, messaging.EventSubscribed)
		synctest.Wait()
		visitor.close()
		synctest.Wait()
		close(gate)
		synctest.Wait()
		if n := s.diary.count("the log does not answer"); n > 0 {
			t.Errorf("the client's departure was logged %d times as an outage of the log", n)
		}
	})
}
