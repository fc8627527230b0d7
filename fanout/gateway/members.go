package gateway

import (
	"maps"
	"slices"
	"sync"
)

// members is a set of the connected clients of one kind. The zero value is empty. Its
// methods may be called concurrently.
type members[T comparable] struct {
	mu  sync.Mutex // guards all
	all map[T]struct{}
}

func (m *members[T]) add(member T) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.all == nil {
		m.all = make(map[T]struct{})
	}
	m.all[member] = struct{}{}
}

func (m *members[T]) remove(member T) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.all, member)
}

// list returns the members in any order.
func (m *members[T]) list() []T {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(maps.Keys(m.all))
}
