package ingest

import (
	"sync"

	"github.com/letswriteabook/realtime/messaging"
)

// delivery is one event on its way to the log: a record, or the dead letter of
// one that was refused.
type delivery struct {
	record messaging.Record
	// letter is nil for an accepted event.
	letter *messaging.DeadLetter
	// heardBy is the subscription that the event came through.
	heardBy *subscription
	// sizeBytes is what the delivery has taken of the budget.
	sizeBytes int
}

// lanes runs the deliveries of one key one after another, in the order in which
// they were added, and those of different keys at the same time.
//
// A lane is a queue and a goroutine that ends when the queue is empty. The
// queues are bounded together, by the [budget] that is taken before add; so are
// the goroutines, of which each has at least one delivery in hand.
type lanes struct {
	process func(delivery)
	running sync.WaitGroup

	mu sync.Mutex // guards queues
	// queues has a key for each running lane; a queue does not hold the delivery
	// that is being processed.
	queues map[string][]delivery
}

func newLanes(process func(delivery)) *lanes {
	return &lanes{process: process, queues: make(map[string][]delivery)}
}

// add queues a delivery and starts the lane if it does not run. It must not be
// called at the same time as wait.
func (l *lanes) add(key string, d delivery) {
	l.mu.Lock()
	queue, running := l.queues[key]
	l.queues[key] = append(queue, d)
	l.mu.Unlock()
	if !running {
		l.running.Go(func() { l.run(key) }) // ends when its queue is empty
	}
}

// wait returns when all lanes have ended.
func (l *lanes) wait() { l.running.Wait() }

func (l *lanes) run(key string) {
	for {
		d, ok := l.next(key)
		if !ok {
			return
		}
		l.process(d)
	}
}

// next takes the head of the queue, or removes the lane when there is none.
func (l *lanes) next(key string) (delivery, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	queue := l.queues[key]
	if len(queue) == 0 {
		delete(l.queues, key)
		return delivery{}, false
	}
	head := queue[0]
	queue[0] = delivery{} // or the array would keep the payload alive
	l.queues[key] = queue[1:]
	return head, true
}
