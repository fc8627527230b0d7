package projections

import (
	"errors"
	"fmt"
	"sync"
)

// standing holds the error of the last batch of each projection that does not proceed, by
// name.
type standing struct {
	mu  sync.Mutex // guards why
	why map[string]error
}

// set notes the outcome of a projection's batch; nil means that it succeeded.
func (s *standing) set(name string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		delete(s.why, name)
		return
	}
	s.why[name] = err
}

// Standing returns why projections of this process do not proceed: MongoDB did not take
// their last batch, which is offered again until it does. It is nil while all proceed.
func (s *Store) Standing() error {
	s.standing.mu.Lock()
	defer s.standing.mu.Unlock()
	var why []error
	for _, name := range []string{History, JobHeads} {
		if err := s.standing.why[name]; err != nil {
			why = append(why, fmt.Errorf("the projection %s stands still: %w", name, err))
		}
	}
	return errors.Join(why...)
}
