package fanout

import "time"

// The methods here keep a room level with the log: what it has missed, what a
// repair brings, and what a check finds.

// place returns where the room's job is in the log.
func (r *room) place() place {
	r.mu.Lock()
	defer r.mu.Unlock()
	return place{jobID: r.jobID, epoch: r.epoch, head: r.head}
}

// newest returns the newest limit events, if the ring has them.
func (r *room) newest(limit int) ([]*event, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ring.newest(limit)
}

// missing returns the range that a repair has to read: above head, up to seen.
func (r *room) missing() (generation int, head, seen uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.generation, r.head, r.seen
}

// take hands on a record that a repair has read. One that was read from an
// earlier life of the log is dropped.
func (r *room) take(generation int, sequence uint64, ev *event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || generation != r.generation || sequence <= r.head {
		return
	}
	r.push(sequence, ev)
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
		r.seen = r.head
	}
}

// compare holds the room against the log's epoch and the job's last sequence
// there. It reports whether the room has just fallen behind and needs a repair.
func (r *room) compare(epoch string, last uint64) (fellBehind bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	if r.epoch != epoch {
		r.restart(epoch, last)
		return false
	}
	if last <= r.head || last <= r.seen {
		return false
	}
	r.seen = last
	fellBehind = !r.behind
	r.behind = true
	return fellBehind
}

// restart moves the room to a new life of the log. Its subscriptions begin
// anew, each in its reader. The mutex is held.
func (r *room) restart(epoch string, head uint64) {
	r.generation++
	r.epoch, r.head, r.seen = epoch, head, head
	r.ring = ring{floor: head}
	for len(r.live) > 0 {
		r.fallBack(r.live[len(r.live)-1])
	}
}

// due reports whether the room is to be checked: at the zero time always,
// otherwise when its next check is due. It then counts as checked.
func (r *room) due(now time.Time, cfg Config) bool {
	select {
	case <-r.opened:
	default:
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

// close ends the room. It reports false while the room is still being opened or
// repaired.
func (r *room) close() bool {
	select {
	case <-r.opened:
	default:
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.behind {
		return false
	}
	r.closed = true
	return true
}
