package oracle

import (
	"maps"
	"slices"
)

// following is what one client has of one job. A turn is what lies between two
// resumes.
type following struct {
	begins uint64 // its earliest cursor; what lies behind that is not due
	cursor uint64 // that of the turn
	last   uint64 // the newest sequence of the turn
	// seen has the turn in which an id was delivered last; what it was before a
	// purge, and after one, are two.
	seen map[string]int
	turn int
	// asked says that its cursors were noted, and renewed that it is in a new epoch.
	asked, renewed bool
}

// purgedMark follows the id of what was delivered before a purge.
const purgedMark = "\x00purged"

// judgeClients judges the clients of one file.
func (v *Verdict) judgeClients(file string, entries []entry, t truth) {
	clients := map[string]map[string]*following{}
	for _, e := range entries {
		name := file
		if e.Client != "" {
			name = file + "/" + e.Client
		}
		jobs := clients[name]
		if jobs == nil {
			jobs = map[string]*following{}
			clients[name] = jobs
		}
		f := jobs[e.Job]
		if f == nil {
			f = &following{seen: map[string]int{}}
			jobs[e.Job] = f
		}
		if e.Follows {
			f.resume(e.Sequence)
			if e.Renewed { // what it got before does not count any more
				f.renewed, f.seen = true, map[string]int{}
			}
		} else {
			v.judgeDelivery(name, f, e, t)
		}
	}
	v.Clients += len(clients)
	for _, name := range slices.Sorted(maps.Keys(clients)) {
		for _, job := range slices.Sorted(maps.Keys(clients[name])) {
			v.judgeDue(name, clients[name][job], t.byJob[job])
		}
	}
}

// resume begins a turn after a cursor.
func (f *following) resume(after uint64) {
	if f.asked {
		f.begins = min(f.begins, after)
	} else {
		f.begins = after
	}
	f.asked = true
	f.turn++
	f.cursor, f.last = after, after
}

// judgeDelivery asks, in this order, whether the event may be there at all, whether
// it may be there again, and whether it may be there now, so that each is blamed
// for one thing.
func (v *Verdict) judgeDelivery(client string, f *following, e entry, t truth) {
	v.Delivered++
	if e.Resumed {
		f.turn++
		f.cursor, f.last = 0, 0
	}
	event := e.ID
	if t.gone(e.ID, place{e.Job, e.Sequence}) {
		event += purgedMark
	}
	turn, repeated := f.seen[event]
	f.seen[event] = f.turn
	switch {
	case !t.has(e.ID, place{e.Job, e.Sequence}):
		v.blame(&v.Phantom, "to %s and not so in the log: %q at %d", client, e.ID, e.Sequence)
	case f.renewed && !t.stands(e.ID, place{e.Job, e.Sequence}):
		v.blame(&v.Phantom, "to %s, in a new epoch that does not have it: %q at %d", client, e.ID, e.Sequence)
	case repeated && turn == f.turn:
		v.blame(&v.Duplicated, "twice to %s: %s at %d", client, e.ID, e.Sequence)
	case repeated && e.Sequence <= f.cursor:
		v.blame(&v.Duplicated, "twice to %s, which had asked for what follows %d: %s at %d", client, f.cursor, e.ID, e.Sequence)
	case e.Sequence <= f.last:
		v.blame(&v.Reordered, "sequence goes back to %s: %s at %d after %d", client, e.ID, e.Sequence, f.last)
	}
	f.last = max(f.last, e.Sequence)
}

// judgeDue compares what the client has with what it was due. A client that never
// asked, because its cursors were not noted, was due what follows its first event.
func (v *Verdict) judgeDue(client string, f *following, stored []entry) {
	begins := f.begins
	if !f.asked {
		for _, e := range stored {
			if _, got := f.seen[e.ID]; got {
				begins = e.Sequence
				break
			}
		}
	}
	for _, e := range stored {
		if _, got := f.seen[e.ID]; e.Sequence > begins && !got {
			v.blame(&v.Lost, "not delivered to %s: %s at %d", client, e.ID, e.Sequence)
		}
	}
}
