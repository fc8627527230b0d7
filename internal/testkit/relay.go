package testkit

import (
	"io"
	"net"
	"sync"
	"testing"
)

// Relay forwards connections to a server that can be exchanged while the clients keep the
// address. Its methods may be called concurrently.
type Relay struct {
	// Addr is the address for clients.
	Addr string

	t       testing.TB
	answers func(client io.Writer, server io.Reader)
	serving sync.WaitGroup

	mu     sync.Mutex // guards the fields below
	target string
	// generation counts the changes: a connection belongs to the target at its time.
	generation int
	listener   net.Listener // nil while nothing listens
	open       map[net.Conn]struct{}
}

// StartRelay starts a relay to a server. The relay ends with the test.
func StartRelay(t testing.TB, target string) *Relay {
	t.Helper()
	return StartFilter(t, target, func(client io.Writer, server io.Reader) { _, _ = io.Copy(client, server) })
}

// StartFilter starts a relay that leaves the way from the server to the client to answers,
// once for each connection. answers returns when either side fails.
func StartFilter(t testing.TB, target string, answers func(client io.Writer, server io.Reader)) *Relay {
	t.Helper()
	r := &Relay{Addr: "127.0.0.1:0", t: t, answers: answers, open: make(map[net.Conn]struct{})}
	r.To(target)
	t.Cleanup(func() {
		r.Off()
		r.serving.Wait()
	})
	return r
}

// To forwards new connections to another server, and closes the open ones.
func (r *Relay) To(target string) {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.target = target
	r.cut()
	if r.listener != nil { // keep listening, so that no connection is refused in between
		return
	}
	listener, err := net.Listen("tcp", r.Addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.listener, r.Addr = listener, listener.Addr().String()
	r.serving.Go(func() { r.accept(listener) }) // ends with the listener
}

// Off refuses new connections, and closes the open ones.
func (r *Relay) Off() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.listener != nil {
		_ = r.listener.Close()
	}
	r.listener = nil
	r.cut()
}

// cut closes the open connections. The caller holds mu.
func (r *Relay) cut() {
	r.generation++
	for conn := range r.open {
		_ = conn.Close()
	}
}

func (r *Relay) accept(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		r.serving.Go(func() { r.pass(conn) }) // ends with the connection
	}
}

// pass forwards in both directions until either side ends.
func (r *Relay) pass(conn net.Conn) {
	defer conn.Close()
	r.mu.Lock()
	target, generation := r.target, r.generation
	r.mu.Unlock()
	server, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer server.Close()
	r.mu.Lock()
	if r.generation != generation {
		r.mu.Unlock()
		return
	}
	r.open[conn], r.open[server] = struct{}{}, struct{}{}
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.open, conn)
		delete(r.open, server)
	}()
	var back sync.WaitGroup
	back.Go(func() { // ends with either connection
		r.answers(conn, server)
		_ = conn.Close()
	})
	_, _ = io.Copy(server, conn)
	_ = server.Close()
	back.Wait()
}
