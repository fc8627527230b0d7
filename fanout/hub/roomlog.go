package hub

import (
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

// The methods here compare a room with the log: what it has missed, what a repair has
// read, and what a check has found.

// place returns where the room's job is in the log.
func (r *room) place() place {
	r.mu.Lock()
	defer r.mu.Unlock()
	return place{jobID: r.jobID, epoch: r.epoch, head: r.head, first: r.first, erased: r.erased()}
}

// newest returns the newest limit events, if the ring has them.
func (r *room) newest(limit int) ([]*Event, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ring.newest(limit)
}

// floor returns the sequence from which on the ring has every event.
func (r *room) floor() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ring.floor
}

// missing returns the range that a repair has to read: above head, up to seen.
func (r *room) missing() (epoch string, head, seen uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.epoch, r.head, r.seen
}

// lost reports whether the log may have removed records of the job above head,
// when first is the first sequence that it still has.
func (r *room) lost(first uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next > 0 && r.next == r.unread {
		return first > r.next
	}
	return first > r.head+1
}

// repaired is one record that a repair has read, with its event.
type repaired struct {
	sequence uint64
	event    *Event // nil when no client can be shown it
}

// takeRepaired hands on what a repair has read. What was read from an earlier epoch of
// the log is dropped.
//
// With first set, records before that sequence have been removed from the log, or
// may have been.
func (r *room) takeRepaired(epoch string, records []repaired, first uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || epoch != r.epoch {
		return
	}
	if first > 0 {
		r.miss(first)
	}
	for _, record := range records {
		if record.sequence > r.head {
			r.push(record.sequence, record.event)
		}
	}
}

// miss notes that the log has removed records, or may have, that lie before a sequence
// and that the room has not read. Live subscriptions read again, and reading ones do not
// turn live from the ring, so that each client is given these records from MongoDB, or is
// told of the gap. Earlier answers of MongoDB about the job do not cover these records.
// The mutex is held.
func (r *room) miss(first uint64) {
	// The floor is not the head: MongoDB may have a part of the removed records, and a
	// subscription that has read that part has to read on.
	r.ring = ring{floor: max(r.ring.floor, first-1)}
	r.first, r.unrecorded = max(r.first, first), false
	if r.lookUp != nil {
		r.lookUp.at = time.Time{} // for the subscriptions that wait for it, and no others
	}
	r.fallBackAll(stateReading)
}

// endRepair ends a repair, unless a newer record was named meanwhile.
func (r *room) endRepair() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen > r.head {
		return false
	}
	r.behind = false
	return true
}

// giveUp stops waiting for a record that was named and that the log has removed.
func (r *room) giveUp(seen uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen == seen {
		r.miss(seen + 1)
		r.seen = r.head
		r.moveHead(r.head)
	}
}

// compare compares the room with the log's extent, and with the job's last sequence
// there. It reports whether the room has just fallen behind and needs a repair.
func (r *room) compare(extent messaging.Extent, last uint64) (fellBehind bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	if r.epoch != extent.Epoch {
		r.restart(extent, last)
		return false
	}
	newer := last > r.seen
	r.noteRecord(last)
	if !newer {
		return false
	}
	fellBehind = !r.behind
	r.behind = true
	return fellBehind
}

// restart moves the room to a new epoch of the log. Each subscription begins again in
// its reader. The mutex is held.
func (r *room) restart(extent messaging.Extent, head uint64) {
	r.epoch, r.first = extent.Epoch, extent.First
	r.seen = head
	r.moveHead(head)
	r.ring, r.lookUp, r.unrecorded = ring{floor: head}, nil, false
	r.fallBackAll(stateRenewing)
}

// due reports whether the room is open and to be checked: at the zero time
// always, otherwise when its next check is due, and then it counts as checked.
func (r *room) due(now time.Time, cfg Config) bool {
	if !r.isOpened() {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.IsZero() {
		return true
	}
	next := r.openedAt.Add(cfg.CheckDelay)
	if !r.checked.IsZero() {
		next = r.checked.Add(cfg.CheckInterval)
	}
	if now.Before(next) {
		return false
	}
	r.checked = now
	return true
}

// quiet reports whether the room has no recent events: it is then not worth keeping for
// clients that reconnect.
func (r *room) quiet() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.ring.events) == 0
}

// close ends the room, and what opens or repairs it. It reports whether the room
// was open.
func (r *room) close() (opened bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.life.end()
	return r.isOpened()
}

// abandoned reports whether the room closed before it was open.
func (r *room) abandoned() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closed && !r.isOpened()
}

func (r *room) isOpened() bool {
	select {
	case <-r.opened:
		return true
	default:
		return false
	}
}
