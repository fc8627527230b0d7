package projections_test

import (
	"bytes"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// relay stands between a client and MongoDB, and can take the line away.
type relay struct {
	listener net.Listener
	target   string
	wg       sync.WaitGroup

	mu    sync.Mutex // guards the fields below
	conns map[net.Conn]struct{}
	cut   bool          // nobody gets through
	mute  bool          // inserts get through, and the line breaks instead of their answers
	slow  chan struct{} // when set, answers wait until it is closed
}

func newRelay(t testing.TB, target string) *relay {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{listener: listener, target: target, conns: make(map[net.Conn]struct{})}
	r.wg.Go(r.accept) // stopped by closing the listener
	t.Cleanup(func() {
		_ = listener.Close()
		r.set(true, false)
		r.wg.Wait()
	})
	return r
}

func (r *relay) addr() string { return r.listener.Addr().String() }

// set changes the line; cutting it drops what is connected.
func (r *relay) set(cut, mute bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cut, r.mute = cut, mute
	if cut {
		for conn := range r.conns {
			_ = conn.Close()
		}
	}
}

func (r *relay) accept() {
	for {
		client, err := r.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", r.target)
		if err != nil {
			_ = client.Close()
			continue
		}
		r.join(client, server)
	}
}

func (r *relay) join(client, server net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cut {
		_, _ = client.Close(), server.Close()
		return
	}
	r.conns[client], r.conns[server] = struct{}{}, struct{}{}
	var inserting atomic.Bool
	// Both end when either connection is closed.
	r.wg.Go(func() {
		r.copy(server, client, func(request []byte) bool {
			if bytes.Contains(request, []byte("\x02insert\x00")) {
				inserting.Store(true)
			}
			return true
		})
	})
	r.wg.Go(func() {
		r.copy(client, server, func([]byte) bool {
			r.wait()
			return !inserting.Load() || !r.muted()
		})
	})
}

// slowDown has answers wait until quicken is called.
func (r *relay) slowDown() (quicken func()) {
	slow := make(chan struct{})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.slow = slow
	return sync.OnceFunc(func() { close(slow) })
}

func (r *relay) wait() {
	r.mu.Lock()
	slow := r.slow
	r.mu.Unlock()
	if slow != nil {
		<-slow
	}
}

func (r *relay) muted() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mute
}

func (r *relay) copy(to, from net.Conn, pass func([]byte) bool) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 && !pass(buffer[:n]) {
			break
		}
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				break
			}
		}
		if err != nil {
			break
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, conn := range []io.Closer{to, from} {
		_ = conn.Close()
	}
	delete(r.conns, to)
	delete(r.conns, from)
}
