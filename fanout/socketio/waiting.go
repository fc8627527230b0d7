package socketio

import "sync"

// waiting is a channel of capacity 1 that is allocated on first use, because few sockets
// need it.
type waiting struct {
	mu       sync.Mutex // guards the fields below
	signals  chan struct{}
	signaled bool // before there was a channel
}

func (w *waiting) channel() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.signals == nil {
		w.signals = make(chan struct{}, 1)
		if w.signaled {
			w.signals <- struct{}{}
		}
	}
	return w.signals
}

// signal does not block.
func (w *waiting) signal() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.signals == nil {
		w.signaled = true
		return
	}
	select {
	case w.signals <- struct{}{}:
	default:
	}
}
