package guardrails

import "container/list"

// maxLatest bounds the clients of a latest. Beyond it, the client that was used the longest
// time ago is forgotten.
const maxLatest = 10_000

// latest has a value for each of the clients that were used last. The mutex of its owner
// guards it.
type latest[T any] struct {
	clients map[string]*list.Element
	order   *list.List // of *latestOf[T], the client that was used last in front
}

type latestOf[T any] struct {
	client string
	value  T
}

func newLatest[T any]() latest[T] {
	return latest[T]{clients: make(map[string]*list.Element), order: list.New()}
}

// find returns the value of a client, nil without one. It does not use the client.
func (l *latest[T]) find(client string) *T {
	known, found := l.clients[client]
	if !found {
		return nil
	}
	return &known.Value.(*latestOf[T]).value
}

// use returns the value of a client, which begins as first.
func (l *latest[T]) use(client string, first T) *T {
	if known, found := l.clients[client]; found {
		l.order.MoveToFront(known)
		return &known.Value.(*latestOf[T]).value
	}
	if l.order.Len() >= maxLatest {
		oldest := l.order.Remove(l.order.Back()).(*latestOf[T])
		delete(l.clients, oldest.client)
	}
	added := &latestOf[T]{client: client, value: first}
	l.clients[client] = l.order.PushFront(added)
	return &added.value
}
