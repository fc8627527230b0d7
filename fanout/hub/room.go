package hub

import (
	"context"
	"sync"
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

// room is one followed job: its head, its recent events, and its live subscriptions.
//
// A room is itself a cursor over the log. While the predecessor of each live record is the
// room's head, live records are handed on. When one is missing, the room is behind, and a
// goroutine reads the range from the log (see repair.go) before live records count again.
type room struct {
	jobID    string
	erasures *erased // the hub's
	// opened is closed once head is known. From then on the room detects what it misses.
	opened chan struct{}
	// left is closed once the room has closed and the tail no longer follows it.
	left chan struct{}
	// opening is for the clients that wait until the room is open.
	opening *claim
	// life ends when the room closes, and ends what opens or repairs the room.
	life life

	// refs and idleSince are guarded by the hub's mutex. refs counts the
	// subscriptions; idleSince is when it fell to zero.
	refs      int
	idleSince time.Time

	mu     sync.Mutex // guards everything below
	closed bool
	// epoch is the epoch of the sequences. Below first the job may have had records that
	// the room never read: the log had removed them when the room was opened, or before
	// they were repaired.
	epoch string
	first uint64
	// head is the sequence of the newest event that was handed on.
	head uint64
	// seen is the newest sequence of the job that a live record or an answer of the log
	// has named. While it is above head, the room is behind.
	seen   uint64
	behind bool
	// unread is a lower bound of the sequences above head that were named, 0 without any.
	// It shows what seen does not: that there was a record which the log may have removed
	// before the newest one was stored.
	unread uint64
	// next is the first live record above head before which the log had nothing newer
	// than head, 0 without one. It proves that the room misses nothing before it only
	// while it is also the oldest record above head that was named.
	next     uint64
	openedAt time.Time
	checked  time.Time
	ring     ring
	live     []*Subscription
	// lookUp is the answer of the last look-up, nil without one. looking is the claim of
	// the look-up that is under way, nil without one.
	lookUp  *lookUp
	looking *claim
	// unrecorded is set once MongoDB has answered that it has no record of the job that
	// the room has not read.
	unrecorded bool
}

// newRoom returns the room of a job, for a client that subscribes.
func newRoom(jobID, client string, erasures *erased) *room {
	return &room{
		jobID: jobID, erasures: erasures, opened: make(chan struct{}), left: make(chan struct{}), behind: true,
		opening: claimOf(client),
	}
}

// erased returns what was erased of the job.
func (r *room) erased() erasedThrough { return r.erasures.of(r.jobID) }

// open sets the head, once the tail follows the job. It reports whether newer live
// records have been received, so that the room has to be repaired. A closed room stays
// closed. It is called once.
func (r *room) open(extent messaging.Extent, head uint64, now time.Time) (behind bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	r.epoch, r.first, r.openedAt = extent.Epoch, extent.First, now
	r.ring.floor = head
	r.moveHead(head)
	r.behind = r.seen > head
	close(r.opened)
	return r.behind
}

// verdict says what has to be done for a room that has received a live record.
type verdict int

const (
	// verdictNone: nothing; the record was handed on, or a repair will read it.
	verdictNone verdict = iota
	// verdictRepair: the room has just fallen behind.
	verdictRepair
	// verdictCheck: the record's epoch is not the room's.
	verdictCheck
)

// receive takes a live record and its encoded event.
func (r *room) receive(record messaging.Live, ev *Event) verdict {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed:
		return verdictNone
	case r.epoch != "" && record.Epoch != r.epoch:
		return verdictCheck
	case record.Sequence <= r.head:
		return verdictNone
	case !r.behind && record.Previous <= r.head:
		r.push(record.Sequence, ev)
		return verdictNone
	}
	if r.next == 0 && record.Previous <= r.head {
		r.next = record.Sequence
	}
	r.noteRecord(record.Previous)
	r.noteRecord(record.Sequence)
	if r.behind {
		return verdictNone
	}
	r.behind = true
	return verdictRepair
}

// push makes an event the job's newest and hands it to the live subscriptions.
// ev is nil for a record that no client can be shown: the head passes it. The
// mutex is held.
func (r *room) push(sequence uint64, ev *Event) {
	r.moveHead(sequence)
	if ev == nil || r.erased().covers(r.epoch, sequence) {
		return
	}
	r.ring.push(ev)
	if len(r.live) > 0 {
		hub, before := r.live[0].reader.hub, len(r.live)
		began, receivers := time.Time{}, 0
		traced := hub.traces(ev)
		if traced {
			began = time.Now()
		}
		for i := 0; i < len(r.live); {
			var took int
			i, took = r.offerFrom(i, ev)
			receivers += took
		}
		now := time.Now()
		hub.metrics.delivered(ev, now) // once, and not for each subscription
		if traced {
			hub.tracer.Delivered(ev.TraceParent, r.jobID, ev.Name, ev.Sequence, receivers, began, now)
		}
		if hub.recorder != nil {
			hub.recorder.Delivered(r.jobID, r.epoch, sequence, receivers, before-len(r.live))
		}
	}
	ev.Wire.Settle() // also without subscriptions: the ring keeps the event
}

// offerFrom offers an event to the live subscriptions from place i on, and returns how many
// took it, and where to go on: after a panic, behind the subscription that it happened with.
// That one's client is closed. The mutex is held.
func (r *room) offerFrom(i int, ev *Event) (next, receivers int) {
	defer func() {
		if cause := recover(); cause != nil {
			r.abort(r.live[i], "live event", cause)
			next = i
		}
	}()
	for i < len(r.live) {
		sub := r.live[i]
		if ev.Sequence <= sub.cursor.Sequence {
			i++ // it was given the event by another gateway
			continue
		}
		if sub.offer(ev) {
			i++
			receivers++
			continue
		}
		sub.reader.hub.metrics.fallBacks.Inc()
		r.fallBack(sub, stateReading) // puts another subscription in place i
	}
	return i, receivers
}

// abort ends a live subscription over which the room's work panicked, and disconnects its
// client. It puts another subscription in its place in live. The mutex is held.
func (r *room) abort(sub *Subscription, work string, cause any) {
	hub := sub.reader.hub
	hub.guard.Note(work, cause)
	r.end(sub)
	// In a goroutine, because the end of a client ends its subscriptions.
	hub.crew.spawn(func(context.Context) { sub.sink.Abort() })
}

// noteRecord notes that the log has, or had, a record of the job with a sequence. The mutex is
// held.
func (r *room) noteRecord(sequence uint64) {
	if sequence <= r.head {
		return
	}
	if r.unread == 0 || sequence < r.unread {
		r.unread = sequence
	}
	r.seen = max(r.seen, sequence)
}

// moveHead moves the head. The mutex is held.
func (r *room) moveHead(head uint64) {
	r.head, r.next = head, 0
	r.seen = max(r.seen, head)
	switch {
	case r.seen == head:
		r.unread = 0
	case r.unread <= head:
		r.unread = head + 1
	}
}

// join makes a subscription live. The mutex is held.
func (r *room) join(sub *Subscription) {
	sub.state, sub.index = stateLive, len(r.live)
	r.live = append(r.live, sub)
}

// fallBack gives a live subscription back to its reader, in another state. The mutex is
// held.
func (r *room) fallBack(sub *Subscription, to state) {
	r.unlist(sub)
	sub.state = to
	sub.reader.add(sub)
}

// fallBackAll does so for every live subscription. The mutex is held.
func (r *room) fallBackAll(to state) {
	for len(r.live) > 0 {
		r.fallBack(r.live[len(r.live)-1], to)
	}
}

// unlist takes a live subscription out of the list of these. The mutex is held.
func (r *room) unlist(sub *Subscription) {
	last := len(r.live) - 1
	r.live[sub.index] = r.live[last]
	r.live[sub.index].index = sub.index
	r.live[last] = nil
	r.live = r.live[:last]
}

// end ends a subscription: nothing is handed to its sink any more. The mutex is held.
func (r *room) end(sub *Subscription) {
	if sub.state == stateLive {
		r.unlist(sub)
	}
	sub.state = stateEnded
}

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
