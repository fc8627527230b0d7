package hub

// ring holds the newest events of one job, oldest first.
//
// Invariant: it has every event of the job with floor < sequence ≤ head, where head is
// the room's. The room's mutex guards it.
type ring struct {
	floor  uint64
	events []*Event
	bytes  int
}

// The bounds of one job's ring. Beyond either, the oldest events are dropped, and are
// read from the history.
const (
	ringEvents = 256
	ringBytes  = 512 << 10
)

// push adds the job's newest event.
func (r *ring) push(ev *Event) {
	r.events = append(r.events, ev)
	r.bytes += ev.size()
	for len(r.events) > ringEvents || r.bytes > ringBytes && len(r.events) > 0 {
		r.floor = r.events[0].Sequence
		r.bytes -= r.events[0].size()
		r.events[0] = nil
		r.events = r.events[1:]
	}
}

// forget drops the events up to a sequence, which is not above the room's head.
func (r *ring) forget(through uint64) {
	for len(r.events) > 0 && r.events[0].Sequence <= through {
		r.bytes -= r.events[0].size()
		r.events[0] = nil
		r.events = r.events[1:]
	}
	r.floor = max(r.floor, through)
}

// after returns the events that follow a sequence, and whether the ring has all
// of them. The slice is only valid while the room's mutex is held.
func (r *ring) after(sequence uint64) ([]*Event, bool) {
	if sequence < r.floor {
		return nil, false
	}
	low, high := 0, len(r.events)
	for low < high {
		if middle := (low + high) / 2; r.events[middle].Sequence <= sequence {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return r.events[low:], true
}

// newest returns a copy of the newest limit events. It reports false when the ring has
// fewer, unless it has all events of the job.
func (r *ring) newest(limit int) ([]*Event, bool) {
	if len(r.events) < limit && r.floor > 0 {
		return nil, false
	}
	return append([]*Event(nil), r.events[max(0, len(r.events)-limit):]...), true
}
