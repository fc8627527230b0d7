package oracle

import (
	"maps"
	"slices"
)

// following is the record of one client and one job. A turn is the time between two
// resumes.
type following struct {
	begins uint64 // its earliest cursor; earlier events are not due
	cursor uint64 // the cursor of the turn
	last   uint64 // the newest sequence of the turn
	// seen has the turn in which an id was last delivered. An event before a purge and the
	// same event after it have different keys.
	seen map[string]int
	turn int
	// asked is true if its cursors were recorded, and renewed if it is in a new epoch.
	asked, renewed bool
}

// purgedMark is appended to the ids of events that were delivered before a purge.
const purgedMark = "\x00purged"

// judgeClients checks the clients of one file.
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
			if e.Renewed { // earlier deliveries no longer count
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

// judgeDelivery checks, in this order, whether the event may be delivered at all, whether
// it may be delivered again, and whether it may be delivered now, so that each event is
// counted for one fault.
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

// judgeDue compares the events that the client has with those that it was due. A client
// whose cursors were not recorded was due the events after its first one.
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
