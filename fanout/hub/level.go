package hub

import "time"

// The methods here keep a room level with the log: what it has missed, what a
// repair brings, and what a check finds.

// place returns where the room's job is in the log.
func (r *room) place() place {
	r.mu.Lock()
	defer r.mu.Unlock()
	return place{jobID: r.jobID, epoch: r.epoch, head: r.head, first: r.first, kept: r.gone.kept(r.epoch), erased: len(r.gone) > 0}
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

// take hands on what a repair has read. What was read from an earlier life of
// the log is dropped.
//
// With first set, records before that sequence have been removed from the log, or
// may have been.
func (r *room) take(epoch string, records []repaired, first uint64) {
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

// miss notes that the log has removed records before a sequence that the room has not
// read, or may have. No live subscription may pass over that unsaid: they read, and so
// do those that are about to turn live, until they know. What MongoDB answered earlier
// about the job says nothing of these records. The mutex is held.
func (r *room) miss(first uint64) {
	// Not from the head on: MongoDB may have a part of what is gone, and who has
	// read that far must read on.
	r.ring = ring{floor: max(r.ring.floor, first-1)}
	r.first, r.unrecorded = max(r.first, first), false
	if r.lookUp != nil {
		r.lookUp.at = time.Time{} // serves those alone who wait for it
	}
	r.fallBackAll()
}

// level ends a repair, unless more has been heard of meanwhile.
func (r *room) level() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen > r.head {
		return false
	}
	r.behind = false
	return true
}

// forget gives up a sequence that was heard of but is no longer in the log.
func (r *room) forget(seen uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen == seen {
		r.miss(seen + 1)
		r.seen = r.head
		r.advance(r.head)
	}
}

// compare holds the room against what the log has, and the job's last sequence
// there. It reports whether the room has just fallen behind and needs a repair.
func (r *room) compare(extent Extent, last uint64) (fellBehind bool) {
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
	r.learn(last)
	if !newer {
		return false
	}
	fellBehind = !r.behind
	r.behind = true
	return fellBehind
}

// restart moves the room to a new life of the log. Its subscriptions begin
// anew, each in its reader. The mutex is held.
func (r *room) restart(extent Extent, head uint64) {
	r.epoch, r.first = extent.Epoch, extent.First
	r.seen = head
	r.advance(head)
	r.ring, r.lookUp, r.unrecorded = ring{floor: head}, nil, false
	r.fallBackAll()
}

// fallBackAll makes every live subscription a reading one. The mutex is held.
func (r *room) fallBackAll() {
	for len(r.live) > 0 {
		r.fallBack(r.live[len(r.live)-1])
	}
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

// quiet reports whether the room has no recent events that would be worth keeping
// it for.
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
