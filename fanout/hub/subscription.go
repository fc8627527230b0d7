package hub

import (
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

// Subscription is a cursor: one sink's place in one job.
//
// It is reading, until its cursor meets the room's head; then it turns live
// under the room's mutex, and events are pushed to it. A sink without room makes
// it read again. While it reads, its reader alone moves the cursor; while it is
// live, the room does.
type Subscription struct {
	room   *room
	sink   Sink
	reader *Reader
	// life ends when the subscription does, and what is read for it with it.
	life life

	// cursor is the sequence up to which every event of the job was handed to
	// the sink, or was never due to it. It is written under the room's mutex.
	cursor uint64
	// live, index and ended are guarded by the room's mutex. index is the place
	// in room.live.
	live  bool
	index int
	ended bool
	// owed is set while the room's look-up has not been answered whose answer is due to
	// the subscription. It is guarded by the room's mutex, too.
	owed bool
	// documents are young ones without a sequence that the sink was given, and records
	// those that it was given while the subscription was owed a look-up. Both are
	// guarded by the room's mutex, too.
	documents, records shown

	// The rest belongs to the reader.
	start Start
	begun bool
	// epoch is the life of the log in which the subscription began.
	epoch string
	// readTo is set for a cursor from before the log's first record, and for a first
	// page that ends past the room's head: up to there the history may have events
	// that the room knows nothing of.
	readTo uint64
	page   []*Event // read, not yet handed over
	// older names what older writers left and is due before everything else, at most
	// legacyEvents documents.
	older []string
	// limit is how many events the next page has at most; 0 stands for the first.
	limit int
	// through is where the cursor is once page has been handed over.
	through uint64
	// failures counts the turns in a row that the log did not answer.
	failures int
	// kept is the first sequence of the epoch that was not erased, as far as the
	// subscription has been told; 0 for nothing.
	kept    uint64
	caught  bool
	catchUp catchUp
}

// Start says from where a subscription catches up.
type Start struct {
	// Resume is set when the client named a position: everything after it is due
	// to it. Otherwise it gets the newest Limit events.
	Resume   bool
	Position messaging.Position
	Limit    int
	// Recovered is set when the position is from a recovered session: documents
	// without a sequence were handed over then.
	Recovered bool
	// Asked is when the client did.
	Asked time.Time
}

// catchUp is the account of a subscription's first way to the head.
type catchUp struct {
	from     uint64
	replayed int
	source   messaging.Source
}

// End ends the subscription: nothing more is handed to its sink.
func (s *Subscription) End() {
	s.room.leave(s)
	s.reader.remove(s)
	s.reader.hub.exit(s.room)
}

// Affirm tells a client that subscribed again where it stands, if it is live;
// otherwise its catch-up is still under way and will say so itself.
func (s *Subscription) Affirm() {
	s.room.mu.Lock()
	defer s.room.mu.Unlock()
	if s.live {
		s.sink.Send(messaging.EventCaughtUp, standing(s.room.jobID, s.epoch, s.cursor))
	}
}

// tell sends a control event, unless the subscription has ended: after an
// unsubscribe was answered, nothing of the job may follow.
func (s *Subscription) tell(name string, payload any) {
	s.room.mu.Lock()
	defer s.room.mu.Unlock()
	if !s.ended {
		s.sink.Send(name, payload)
	}
}

// offer hands an event to the sink, unless that was given it in its other form, and
// moves the cursor on. It reports false when the sink has no room; nothing lies between
// the cursor and the event then, and the cursor says so. The room's mutex is held.
func (s *Subscription) offer(ev *Event) bool {
	if s.repeats(ev) {
		s.cursor = max(s.cursor, ev.Sequence)
		if ev.Sequence > 0 && s.caught {
			// Otherwise the client would resume before the record, and be given it.
			s.sink.Stand(s.epoch, standing(s.room.jobID, s.epoch, ev.Sequence))
		}
		return true
	}
	if s.sink.Offer(ev) {
		s.cursor = max(s.cursor, ev.Sequence)
		s.note(ev)
		return true
	}
	if ev.Sequence > 0 {
		s.cursor = max(s.cursor, ev.Sequence-1)
	}
	return false
}

// read takes a page that was read for the subscription, to be handed over.
func (s *Subscription) read(p page) {
	s.page, s.through = p.events, p.through
	s.fit(p.events)
	if len(p.events) > 0 {
		s.count(len(p.events), p.source)
	}
}

// asker is for whom the subscription's next read is.
func (s *Subscription) asker() asker {
	class := classPage
	if s.limit == 0 {
		class = classFirst
	}
	return asker{class: class, client: s.reader.client, gone: s.sink.Done()}
}

// firstPage is how many events the first page has at most.
func (s *Subscription) firstPage() int {
	if s.start.Resume {
		return firstPageEvents
	}
	return min(s.start.Limit, maxPageEvents)
}

// The bounds of one page: it begins small, unless it is known how many events are
// due, and grows to what fills a socket's queue about once.
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
	s.limit = min(max(pageBytes*len(events)/total, 1), maxPageEvents)
}

// flush hands the rest of the page to the sink. It reports whether the sink is
// full.
func (s *Subscription) flush() (full bool) {
	for len(s.page) > 0 {
		if !s.hand(s.page[0]) {
			s.shed()
			return true
		}
		s.page = s.page[1:]
	}
	s.pass(s.through)
	s.page, s.through = nil, 0
	return false
}

// shed lets go of the rest of a page that the sink has no room for, so that a
// client that takes nothing holds no memory: it is read again from the cursor.
// Documents without a sequence cannot be, and stay.
func (s *Subscription) shed() {
	if s.page[0].Sequence == 0 {
		return
	}
	if !s.caught {
		s.catchUp.replayed -= len(s.page)
	}
	s.page, s.through = nil, 0
}

// hand gives one event of a page to the sink. It reports whether the sink took
// it, or need not get it.
func (s *Subscription) hand(ev *Event) bool {
	s.room.mu.Lock()
	defer s.room.mu.Unlock()
	if s.ended || ev.Sequence > 0 && ev.Sequence <= s.cursor || s.room.gone.covers(s.epoch, ev.Sequence) {
		return true
	}
	return s.offer(ev)
}

// pass moves the cursor over what is not there to be handed over.
func (s *Subscription) pass(sequence uint64) {
	s.room.mu.Lock()
	defer s.room.mu.Unlock()
	s.cursor = max(s.cursor, sequence)
}

// renew makes the subscription begin again when the log has begun a new life: as
// one that resumes from where it was in the old life.
func (s *Subscription) renew() {
	s.room.mu.Lock()
	defer s.room.mu.Unlock()
	if !s.begun || s.epoch == s.room.epoch {
		return
	}
	s.start = Start{
		Resume: true, Position: messaging.Position{Epoch: s.epoch, Sequence: s.cursor},
		Limit: s.start.Limit, Asked: time.Now(),
	}
	s.cursor, s.kept, s.readTo, s.page, s.older, s.through, s.owed = 0, 0, 0, nil, nil, 0, false
	s.begun, s.caught, s.catchUp, s.records = false, false, catchUp{}, shown{}
}

// distances orders the sources by how far away they are.
var distances = map[messaging.Source]int{
	messaging.SourceNone: 0, messaging.SourceMemory: 1, messaging.SourceMongoDB: 2, messaging.SourceLog: 3, messaging.SourceAggregate: 4,
}

// count adds n replayed events to the account of the first catch-up, which names
// the furthest source used. Later ones are a slow client's, and no client is
// told of them.
func (s *Subscription) count(n int, source messaging.Source) {
	if s.caught {
		return
	}
	s.catchUp.replayed += n
	if distances[source] > distances[s.catchUp.source] {
		s.catchUp.source = source
	}
}
