package gateway_test

import (
	"context"
	"fmt"
	"testing/synctest"

	"pgregory.net/rapid"

	"github.com/letswriteabook/realtime/messaging"
)

// run is one subscription as its client sees it.
type run struct {
	stage *stage
	// from is the position that it was asked to resume after, nil for the newest.
	from *messaging.Position
	// known is how many events of the job every gateway knew of when it was asked
	// for, in which epoch.
	known known
	again bool // asked for although it was there: changes nothing
	got   []message
}

// viewer is a client, and what came to it. Between two calls of synctest.Wait
// its fields are the reading goroutine's.
type viewer struct {
	oracle *oracle
	log    *memoryLog
	stage  *stage
	socket *socketClient
	gate   chan struct{} // when set, nothing is taken until it is closed
	runs   map[string]*run
	asked  map[string][]*run // not yet answered
	broken error
	ended  chan struct{}
}

func (v *viewer) connect(s *stage) {
	v.stage, v.socket = s, s.connectFrom("", 1)
	v.ended = make(chan struct{})
	go v.take(v.socket, v.ended) // ends with the socket
}

// disconnect cuts the socket and waits until the viewer knows.
func (v *viewer) disconnect() {
	v.socket.Kill()
	v.goOn()
	<-v.ended
	clear(v.asked)
}

// take keeps what comes. The gate is looked at under the log's lock, which is as
// good as any.
func (v *viewer) take(socket *socketClient, ended chan struct{}) {
	defer close(ended)
	for {
		v.log.mu.Lock()
		gate := v.gate
		v.log.mu.Unlock()
		if gate != nil {
			<-gate
			continue
		}
		event, err := socket.Next(context.Background())
		if err != nil {
			return
		}
		m := decode(socket.t, event)
		v.log.mu.Lock()
		if err := v.note(m); err != nil && v.broken == nil {
			v.broken = err
		}
		v.log.mu.Unlock()
	}
}

// note takes one message into account.
func (v *viewer) note(m message) error {
	switch {
	case m.Name == messaging.EventSubscribed:
		next := v.asked[m.JobID][0]
		v.asked[m.JobID] = v.asked[m.JobID][1:]
		if !next.again || v.runs[m.JobID] == nil {
			v.runs[m.JobID] = next
		}
	case m.Name == messaging.EventUnsubscribed:
		delete(v.runs, m.JobID)
	case m.Name == messaging.EventCaughtUp && v.runs[m.JobID] != nil:
	case (m.isEvent() || m.Name == messaging.EventGap) && v.runs[m.JobID] != nil:
		v.runs[m.JobID].got = append(v.runs[m.JobID].got, m)
	default:
		return fmt.Errorf("unexpected %s %s", m.Name, m.Raw)
	}
	return nil
}

// subscribe asks for a job after a position; nil is for the newest events.
func (v *viewer) subscribe(rt *rapid.T, jobID string, from *messaging.Position) {
	synctest.Wait()
	next := &run{stage: v.stage, from: from, again: from == nil, known: v.oracle.settled[jobID]}
	asked := request{JobID: jobID}
	if from != nil {
		asked.Since, asked.Epoch = &from.Sequence, from.Epoch
	}
	v.log.set(func(*memoryLog) { v.asked[jobID] = append(v.asked[jobID], next) })
	if err := v.socket.Emit("subscribe", asked); err != nil {
		rt.Fatal(err)
	}
}

func (v *viewer) unsubscribe(rt *rapid.T, jobID string) {
	if err := v.socket.Emit("unsubscribe", request{JobID: jobID}); err != nil {
		rt.Fatal(err)
	}
}

// move cuts the socket, and comes back at a gateway with what it has.
func (v *viewer) move(rt *rapid.T, s *stage) {
	v.disconnect()
	if err := v.judge(false); err != nil {
		rt.Fatal(err)
	}
	runs := v.runs
	v.runs = make(map[string]*run)
	v.connect(s)
	for jobID, old := range runs {
		from := old.from
		for _, m := range old.got {
			if m.isEvent() {
				record := v.oracle.record(m)
				from = &record.Position
			}
		}
		v.subscribe(rt, jobID, from)
	}
}

// pause stops taking events: one waits here, some in the server's queue.
func (v *viewer) pause() {
	v.log.set(func(*memoryLog) {
		if v.gate == nil {
			v.gate = make(chan struct{})
		}
	})
}

func (v *viewer) goOn() {
	v.log.set(func(*memoryLog) {
		if v.gate != nil {
			close(v.gate)
			v.gate = nil
		}
	})
}

// verify holds what came against the log, when nothing is under way.
func (v *viewer) verify() error {
	for jobID, asked := range v.asked {
		if len(asked) > 0 {
			return fmt.Errorf("job %s: %d requests were not answered", jobID, len(asked))
		}
	}
	return v.judge(true)
}

// judge holds what came against the oracle; see there.
func (v *viewer) judge(quiet bool) error {
	if v.broken != nil {
		return v.broken
	}
	for jobID, r := range v.runs {
		if err := v.oracle.judge(jobID, r, quiet); err != nil {
			return fmt.Errorf("job %s, from %v: %w", jobID, r.from, err)
		}
	}
	return nil
}
