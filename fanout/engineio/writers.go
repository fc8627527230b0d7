package engineio

import (
	"runtime"
	"sync"
)

// writers write to the WebSockets that have waiting frames, in the order in which these
// became ready, with one goroutine for each processor. An idle WebSocket has no goroutine
// for writing, and an event for many sockets does not wake a goroutine for each of them.
//
// A writer never waits for a client: the bytes that the network does not accept at once are
// written by a goroutine of that WebSocket, see [webSocket.writeSlowly].
type writers struct {
	mu sync.Mutex // guards all
	// ready are the WebSockets that wait for their turn, from head on. Each is in it at most
	// once.
	ready  []*webSocket
	head   int
	wake   sync.Cond
	idle   int // goroutines that wait for wake
	count  int // goroutines
	closed bool
}

func (p *writers) init() { p.wake.L = &p.mu }

// add schedules a WebSocket for writing. It does not block.
func (p *writers) add(w *webSocket) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.ready) == cap(p.ready) && p.head > len(p.ready)/2 { // otherwise append doubles it, so that few are moved for each
		n := copy(p.ready, p.ready[p.head:])
		clear(p.ready[n:])
		p.ready, p.head = p.ready[:n], 0
	}
	p.ready = append(p.ready, w)
	switch {
	case p.idle > 0:
		p.wake.Signal()
	case p.count < runtime.GOMAXPROCS(0):
		p.count++
		go p.run() // ends with close
	}
}

// take waits for a WebSocket whose turn it is; nil means that the writers are closed.
func (p *writers) take() *webSocket {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.head == len(p.ready) {
		if p.closed {
			p.count--
			return nil
		}
		p.idle++
		p.wake.Wait()
		p.idle--
	}
	w := p.ready[p.head]
	p.ready[p.head] = nil
	p.head++
	if p.head == len(p.ready) {
		p.ready, p.head = p.ready[:0], 0
		if cap(p.ready) > maxReadyKept {
			p.ready = nil
		}
	}
	return w
}

// maxReadyKept bounds the capacity that an empty list keeps.
const maxReadyKept = 4096

func (p *writers) run() {
	b := &batch{attempt: newAttempt()}
	for {
		w := p.take()
		if w == nil {
			return
		}
		if w.writeReady(b) {
			p.add(w)
		}
	}
}

// close ends the goroutines once nothing is left to write.
func (p *writers) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for range p.idle {
		p.wake.Signal()
	}
}
