package projections

import (
	"errors"
	"fmt"
	"sync"
)

// standing has why projections stand still: the error of the last batch of each, by
// name. There are as many as there are projections.
type standing struct {
	mu  sync.Mutex // guards why
	why map[string]error
}

// set notes the outcome of a projection's batch; nil says that it goes on.
func (s *standing) set(name string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		delete(s.why, name)
		return
	}
	s.why[name] = err
}

// Standing returns why projections that this process runs stand still: MongoDB did not
// take their last batch, which is offered again until it does. It is nil while none does.
func (s *Store) Standing() error {
	s.standing.mu.Lock()
	defer s.standing.mu.Unlock()
	var why []error
	for _, name := range []string{History, JobHeads} {
		if err := s.standing.why[name]; err != nil {
			why = append(why, fmt.Errorf("the projection %s stands: %w", name, err))
		}
	}
	return errors.Join(why...)
}
