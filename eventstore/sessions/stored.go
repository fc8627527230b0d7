package sessions

import (
	"sync"
	"time"
)

// maxStored bounds the sequences of one period, of about 80 bytes each.
const maxStored = 1 << 18

// stored holds the sequences under which this process has last stored the states of
// sessions. Each is held for one period at least and two at most, unless more than
// maxStored were noted meanwhile.
type stored struct {
	mu sync.Mutex // guards the fields below
	// recent are those noted in this period, and earlier those of the one before.
	recent, earlier map[string]uint64
	since           time.Time // when recent was begun
}

// note sets the sequence of a session's state.
func (s *stored) note(id string, sequence uint64, now time.Time, period time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.recent == nil || now.Sub(s.since) >= period || len(s.recent) >= maxStored {
		s.recent, s.earlier, s.since = make(map[string]uint64), s.recent, now
	}
	delete(s.earlier, id)
	s.recent[id] = max(sequence, s.recent[id])
}

// sequence returns the sequence of a session's state, 0 when it is not known.
func (s *stored) sequence(id string) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sequence, found := s.recent[id]; found {
		return sequence
	}
	return s.earlier[id]
}

// forget removes a sequence that does not hold any more, unless there is a newer one.
func (s *stored) forget(id string, sequence uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.recent[id] == sequence {
		delete(s.recent, id)
	}
	if s.earlier[id] == sequence {
		delete(s.earlier, id)
	}
}

// drop removes the sequence of a session whose state was removed.
func (s *stored) drop(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.recent, id)
	delete(s.earlier, id)
}
