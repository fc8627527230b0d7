package engineio_test

import (
	"runtime"
	"testing"

	"github.com/letswriteabook/realtime/fanout/engineio"
)

// What an idle WebSocket may keep in memory, both ends of it in this process.
// melody's defaults alone (a channel of 256) would take more than half.
const idleBudgetBytes = 18 << 10

// Not parallel: nothing else may allocate meanwhile.
func TestIdleSessionKeepsToItsBudget(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector needs memory of its own")
	}
	const sessions = 500
	before := memoryInUse()
	f := newFleet(t, sessions)
	if each := (memoryInUse() - before) / sessions; each > idleBudgetBytes {
		t.Errorf("%d bytes per idle session, the budget is %d", each, idleBudgetBytes)
	}
	runtime.KeepAlive(f)
}

// Not parallel, for the same reason.
func TestDeliveryKeepsToItsBudget(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates")
	}
	f := newFleet(t, 1)
	go drain(f.conns[0]) // ends with the connection
	frame := engineio.TextMessage(make([]byte, 330))
	allocations := testing.AllocsPerRun(1000, func() {
		for !f.sessions[0].Offer(frame) {
			runtime.Gosched()
		}
		for f.sessions[0].QueuedBytes() > 0 {
			runtime.Gosched()
		}
	})
	// One is gorilla's, for returning its buffer to the pool.
	if allocations > 1 {
		t.Errorf("%v allocations per delivery", allocations)
	}
}

func memoryInUse() int {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int(stats.HeapAlloc + stats.StackInuse)
}
