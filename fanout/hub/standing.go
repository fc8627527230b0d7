package hub

import "github.com/letswriteabook/realtime/messaging"

// The states of a [Standing].
const (
	StandingOpening = "opening"
	StandingReading = "reading"
	StandingLive    = "live"
)

// Standing is where a subscription stands, for operators.
type Standing struct {
	// State is StandingOpening before the subscription has begun, StandingReading while its
	// cursor is behind the job's head, and StandingLive otherwise.
	State string
	// Cursor is the position up to which the client was handed every event.
	Cursor messaging.Position
	// Head is the sequence of the job's newest event at this gateway.
	Head uint64
	// Behind counts the events after the cursor, and -1 stands for more than the gateway has
	// in memory.
	Behind int
}

// Standing returns where the subscription stands at this moment.
func (s *Subscription) Standing() Standing {
	s.room.mu.Lock()
	defer s.room.mu.Unlock()
	now := Standing{State: StandingReading, Cursor: s.cursor, Head: s.room.head, Behind: -1}
	switch s.state {
	case stateOpening, stateRenewing:
		now.State = StandingOpening
	case stateLive:
		now.State, now.Behind = StandingLive, 0
	default:
		if events, covered := s.room.ring.after(s.cursor.Sequence); covered {
			now.Behind = len(events)
		}
	}
	return now
}
