package fanout

import (
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

// subscription is a cursor: one sink's place in one job.
//
// It is reading, until its cursor meets the room's head; then it turns live
// under the room's mutex, and events are pushed to it. A sink without room makes
// it read again. While it reads, its reader alone moves the cursor; while it is
// live, the room does.
type subscription struct {
	room   *room
	sink   sink
	reader *reader
	start  start

	// cursor is the sequence of the last event handed to the sink.
	cursor uint64
	// live, index and ended are guarded by the room's mutex, like cursor while
	// live. index is the place in room.live.
	live  bool
	index int
	ended bool

	// The rest belongs to the reader.
	generation int // of the room, when the subscription began
	begun   bool
	caught  bool
	page    []*event // read, not yet handed over
	catchUp catchUp
}

// start says from where a subscription catches up.
type start struct {
	// resume is set when the client named a position: everything after Position
	// is due to it. Otherwise it gets the newest Limit events.
	resume   bool
	position messaging.Position
	limit    int
	asked    time.Time
}

// catchUp is the account of a subscription's first way to the head.
type catchUp struct {
	from     uint64
	replayed int
	source   messaging.Source
}

// restarted reports whether the log has begun a new life since the subscription
// did; its next turn then begins anew, and the sequence it was at is returned.
func (s *subscription) restarted() (at uint64, restarted bool) {
	s.room.mu.Lock()
	defer s.room.mu.Unlock()
	was := s.generation
	s.generation = s.room.generation
	if !s.begun || was == s.room.generation {
		return 0, false
	}
	at = s.cursor
	s.cursor, s.page, s.start.resume = 0, nil, false
	s.begun, s.caught, s.catchUp = false, false, catchUp{}
	return at, true
}

// distances orders the sources by how far away they are.
var distances = map[messaging.Source]int{
	messaging.SourceNone: 0, messaging.SourceMemory: 1, messaging.SourceMongoDB: 2, messaging.SourceLog: 3, messaging.SourceAggregate: 4,
}

// count adds n replayed events. The account names the furthest source used.
func (c *catchUp) count(n int, source messaging.Source) {
	c.replayed += n
	if n > 0 && distances[source] > distances[c.source] {
		c.source = source
	}
}
