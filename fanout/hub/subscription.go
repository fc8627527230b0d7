package hub

import (
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

// state is the state of a subscription. All changes are made under the room's mutex:
//
//	from      to        by, and when
//	–         opening   [Reader.Subscribe]
//	opening   reading   [Hub.turn]: begin has placed the cursor
//	reading   live      [Hub.join]: the ring has every event after the cursor
//	live      reading   [room.fallBack]: the sink is full, the log has removed records, some
//	                    were erased, or the look-up that the subscription awaits was answered
//	live      renewing  [room.restart]: the log has begun a new epoch
//	reading   renewing  [Subscription.observe]: the room's epoch is not the cursor's
//	renewing  opening   [Subscription.observe]: it is to resume from the old cursor
//	any       ended     [room.end]: the client has unsubscribed or disconnected, or its sink
//	                    has panicked
type state int

const (
	// stateOpening: start says where the client asked to begin. The reader has the
	// subscription, and waits for the room to open.
	stateOpening state = iota
	// stateReading: the cursor lies behind the room's head, and reading has what is under
	// way. The reader has the subscription.
	stateReading
	// stateLive: the room pushes events to the sink, and index is the place in its list.
	// The cursor is the room's head but for records that no client is shown.
	stateLive
	// stateRenewing: the cursor counts in an earlier epoch of the log. The reader has the
	// subscription, until its next turn.
	stateRenewing
	// stateEnded: nothing is handed to the sink any more.
	stateEnded
)

// Subscription is a cursor: one sink's place in one job. Its [state] says who moves the
// cursor: the reader, or, while it is live, the room.
type Subscription struct {
	room   *room
	sink   Sink
	reader *Reader
	// life ends when the subscription does, and what is read for it with it.
	life life

	// The fields up to the blank line are guarded by the room's mutex. The reader alone
	// changes the cursor of a subscription that it has, and reads it without the mutex.
	state state
	// cursor is the position up to which every event of the job was handed to the sink, or
	// is not due to it. Its epoch is the room's when the subscription began.
	cursor messaging.Position
	index  int // in room.live
	// awaitsLookUp is set until the answer of the room's look-up was given to the
	// subscription, if the subscription is due that answer.
	awaitsLookUp bool
	// lookUpClaim is the claim of the look-up in which the client is counted, nil without one.
	lookUpClaim *claim
	// caught is set once the client has received that it has caught up.
	caught bool
	// documents has the content keys of the young documents without a sequence that were
	// given to the sink, and records those of the records that were given to it while
	// awaitsLookUp was set.
	documents, records shown

	// The fields below belong to the reader.
	start   Start
	reading reading
	// reportedKept is the first sequence that was not erased, according to the last
	// erasure in the cursor's epoch that the client was told of; 0 without one.
	reportedKept uint64
	catchUp      catchUp
}

// reading is what is under way for a subscription that reads.
type reading struct {
	// page was read and not handed over yet, and through is where the cursor is after it.
	page    []*Event
	through uint64
	// legacy names documents of older writers, which are due before everything else: at
	// most legacyEvents.
	legacy []string
	// historyTo is a sequence up to which the history may have events that the room has
	// not read: for a cursor from before the log's first record, and for a first page
	// that ends past the room's head. The ring serves only cursors from there on.
	historyTo uint64
	// limit is how many events the next page has at most; 0 stands for the first page.
	limit int
	// failures counts the failed turns in a row.
	failures int
}

// Start says from where a subscription catches up.
type Start struct {
	// Resume is set when the client named a position: everything after Position is due to
	// the client. Otherwise the newest Limit events are.
	Resume   bool
	Position messaging.Position
	Limit    int
	// Recovered is set when the position is from a recovered session: documents
	// without a sequence were handed over then.
	Recovered bool
	// Asked is when the client subscribed.
	Asked time.Time
}

// catchUp counts what a subscription's first catch-up has read, and from where.
type catchUp struct {
	from     uint64
	replayed int
	source   messaging.Source
}

// End ends the subscription: nothing more is handed to its sink.
func (s *Subscription) End() {
	s.life.end()
	s.room.mu.Lock()
	s.leaveLookUp(s.reader.hub.history.flights.lanes[classFirst])
	s.room.end(s)
	s.room.mu.Unlock()
	s.reader.remove(s)
	s.reader.hub.exit(s.room, s.reader.client)
}

// Affirm sends the position to a client that has subscribed again, if the subscription is
// live. Otherwise the message at the end of the catch-up has it.
func (s *Subscription) Affirm() {
	s.room.mu.Lock()
	defer s.room.mu.Unlock()
	if s.state == stateLive {
		s.sink.Send(messaging.EventCaughtUp, positionMessage(s.room.jobID, s.cursor))
	}
}

// send sends a control event, unless the subscription has ended: nothing of the job may
// follow the answer to an unsubscribe.
func (s *Subscription) send(name string, payload any) {
	s.room.mu.Lock()
	defer s.room.mu.Unlock()
	if s.state != stateEnded {
		s.sink.Send(name, payload)
	}
}

// offer hands an event to the sink, unless the sink was given its content in the other
// form, and moves the cursor to it. It reports false when the sink has no room; the cursor
// is then right before the event. The room's mutex is held.
func (s *Subscription) offer(ev *Event) bool {
	if s.repeats(ev) {
		s.moveTo(ev.Sequence)
		if ev.Sequence > 0 && s.caught {
			// Without the new position, the client would resume before the record and receive it.
			at := messaging.Position{Epoch: s.cursor.Epoch, Sequence: ev.Sequence}
			s.sink.SendPosition(at.Epoch, positionMessage(s.room.jobID, at))
		}
		return true
	}
	if s.sink.Offer(ev) {
		s.moveTo(ev.Sequence)
		s.note(ev)
		return true
	}
	if ev.Sequence > 0 {
		s.moveTo(ev.Sequence - 1)
	}
	return false
}

// moveTo moves the cursor to a sequence, never back. The room's mutex is held.
func (s *Subscription) moveTo(sequence uint64) {
	s.cursor.Sequence = max(s.cursor.Sequence, sequence)
}

// pass moves the cursor over what is not due to the client, or does not exist.
func (s *Subscription) pass(sequence uint64) {
	s.room.mu.Lock()
	defer s.room.mu.Unlock()
	s.moveTo(sequence)
}

// observe is the first step of a turn: it returns the state in which the reader has the
// subscription, after the changes that the room's own have led to. erased is set, with the
// cursor's sequence before and the first sequence that was not erased, when the client has
// to be told of an erasure.
func (s *Subscription) observe() (now state, before, kept uint64, erased bool) {
	s.room.mu.Lock()
	defer s.room.mu.Unlock()
	if s.state == stateReading && s.cursor.Epoch != s.room.epoch {
		s.state = stateRenewing
	}
	switch s.state {
	case stateReading:
		before, kept, erased = s.passErased()
	case stateRenewing:
		s.start = Start{Resume: true, Position: s.cursor, Limit: s.start.Limit, Asked: time.Now()}
		s.cursor, s.reportedKept, s.awaitsLookUp = messaging.Position{}, 0, false
		s.reading = reading{limit: s.reading.limit, failures: s.reading.failures}
		s.caught, s.catchUp, s.records = false, catchUp{}, shown{}
		s.state = stateOpening
	}
	return s.state, before, kept, erased
}

// setEpoch sets the epoch in which the cursor will count.
func (s *Subscription) setEpoch(epoch string) {
	s.room.mu.Lock()
	defer s.room.mu.Unlock()
	s.cursor = messaging.Position{Epoch: epoch}
}

// begun makes an opening subscription read, after its cursor was placed.
func (s *Subscription) begun() {
	s.room.mu.Lock()
	defer s.room.mu.Unlock()
	if s.state == stateOpening {
		s.state = stateReading
	}
}

// takePage takes a page that was read for the subscription, to be handed over.
func (s *Subscription) takePage(p page) {
	s.reading.page, s.reading.through = p.events, p.through
	s.fit(p.events)
	if len(p.events) > 0 {
		s.count(len(p.events), p.source)
	}
}

// asker returns for whom the subscription's next read is.
func (s *Subscription) asker() asker {
	class := classPage
	if s.reading.limit == 0 {
		class = classFirst
	}
	return asker{class: class, claim: claimOf(s.reader.client), done: s.sink.Done()}
}

// firstPage is how many events the first page has at most.
func (s *Subscription) firstPage() int {
	if s.start.Resume {
		return firstPageEvents
	}
	return min(s.start.Limit, maxPageEvents)
}

// The bounds of one page. The first page of a client that resumes is small, because the
// size of its events is not known; later pages hold about as much as a socket's queue.
const (
	firstPageEvents = 32
	maxPageEvents   = 250
	pageBytes       = 256 << 10
)

// fit makes the next page about pageBytes, going by the events of this one.
func (s *Subscription) fit(events []*Event) {
	if len(events) == 0 {
		return
	}
	total := 0
	for _, ev := range events {
		total += ev.Wire.Size()
	}
	s.reading.limit = min(max(pageBytes*len(events)/total, 1), maxPageEvents)
}

// flush hands the rest of the page to the sink. It reports whether the sink is
// full.
func (s *Subscription) flush() (full bool) {
	for len(s.reading.page) > 0 {
		if !s.hand(s.reading.page[0]) {
			s.shed()
			return true
		}
		s.reading.page = s.reading.page[1:]
	}
	s.pass(s.reading.through)
	s.reading.page, s.reading.through = nil, 0
	return false
}

// shed drops the rest of a page that the sink has no room for, so that a client that
// takes nothing holds no memory: it is read again from the cursor. Documents without a
// sequence cannot be read from there, and stay.
func (s *Subscription) shed() {
	if s.reading.page[0].Sequence == 0 {
		return
	}
	if !s.caught {
		s.catchUp.replayed -= len(s.reading.page)
	}
	s.reading.page, s.reading.through = nil, 0
}

// hand gives one event of a page to the sink. It reports false when the sink has no room.
func (s *Subscription) hand(ev *Event) bool {
	s.room.mu.Lock()
	defer s.room.mu.Unlock()
	if s.state == stateEnded || ev.Sequence > 0 && ev.Sequence <= s.cursor.Sequence || s.room.erased().covers(s.cursor.Epoch, ev.Sequence) {
		return true
	}
	return s.offer(ev)
}

// distances orders the sources by their distance from the client: memory is the nearest.
var distances = map[messaging.Source]int{
	messaging.SourceNone: 0, messaging.SourceMemory: 1, messaging.SourceMongoDB: 2, messaging.SourceLog: 3, messaging.SourceAggregate: 4,
}

// count adds n replayed events to the account of the first catch-up, which names the
// furthest source used. Later catch-ups are those of slow clients, and are not reported.
func (s *Subscription) count(n int, source messaging.Source) {
	if s.caught {
		return
	}
	s.catchUp.replayed += n
	s.reader.hub.metrics.replayed[source].Add(float64(n))
	if distances[source] > distances[s.catchUp.source] {
		s.catchUp.source = source
	}
}

// The states of a [Progress].
const (
	ProgressOpening = "opening"
	ProgressReading = "reading"
	ProgressLive    = "live"
)

// Progress says how far a subscription has come, for operators.
type Progress struct {
	// State is ProgressOpening before the subscription has begun, ProgressReading while its
	// cursor is behind the job's head, and ProgressLive otherwise.
	State string
	// Cursor is the position up to which the client was handed every event.
	Cursor messaging.Position
	// Head is the sequence of the job's newest event at this gateway.
	Head uint64
	// Behind counts the events after the cursor, and -1 stands for more than the gateway has
	// in memory.
	Behind int
}

// Progress returns how far the subscription has come.
func (s *Subscription) Progress() Progress {
	s.room.mu.Lock()
	defer s.room.mu.Unlock()
	now := Progress{State: ProgressReading, Cursor: s.cursor, Head: s.room.head, Behind: -1}
	switch s.state {
	case stateOpening, stateRenewing:
		now.State = ProgressOpening
	case stateLive:
		now.State, now.Behind = ProgressLive, 0
	default:
		if events, covered := s.room.ring.after(s.cursor.Sequence); covered {
			now.Behind = len(events)
		}
	}
	return now
}
