package engineio

import (
	"sync"

	"github.com/letswriteabook/realtime/internal/contain"
)

// maxIdleWorkers bounds the workers that wait for a task.
const maxIdleWorkers = 32

// workers are goroutines that handle the packets of all WebSockets. The goroutine that
// reads a WebSocket waits for the network most of the time; because it passes packets to a
// worker, its stack stays at 4 KiB, which handling packets would double permanently. It
// handles only the answers to pings itself, see [webSocket.isPong]. There is at most one
// worker for each WebSocket, since the reader waits for it.
type workers struct {
	guard *contain.Guard

	mu     sync.Mutex // guards idle and closed
	idle   []*worker  // the one used last is at the end
	closed bool
}

// worker handles one task at a time. Its goroutine ends when tasks is closed.
type worker struct {
	tasks chan task
	done  chan struct{}
}

// task is a function, and the function to call if it panics.
type task struct{ run, failed func() }

// do calls a function on a worker, and returns when the function has returned or panicked.
func (p *workers) do(run, failed func()) {
	w := p.take()
	w.tasks <- task{run, failed}
	<-w.done
	p.put(w)
}

func (p *workers) take() *worker {
	p.mu.Lock()
	defer p.mu.Unlock()
	if last := len(p.idle) - 1; last >= 0 {
		w := p.idle[last]
		p.idle[last] = nil
		p.idle = p.idle[:last]
		return w
	}
	w := &worker{tasks: make(chan task), done: make(chan struct{})}
	go p.work(w)
	return w
}

func (p *workers) put(w *worker) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.idle) == maxIdleWorkers {
		close(w.tasks)
		return
	}
	p.idle = append(p.idle, w)
}

func (p *workers) work(w *worker) {
	for t := range w.tasks {
		p.handle(t)
		w.done <- struct{}{}
	}
}

func (p *workers) handle(t task) {
	defer p.guard.Recover("WebSocket reader", t.failed)
	t.run()
}

// close ends the idle workers, and each busy one after its task.
func (p *workers) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, w := range p.idle {
		close(w.tasks)
	}
	p.idle = nil
}
