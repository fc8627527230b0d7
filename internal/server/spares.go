package server

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pires/go-proxyproto"

	"github.com/letswriteabook/realtime/guardrails"
)

// maxSpares bounds the spare connections of the public port, which come out of the
// reserve of files as those to ADMIN_ADDR do.
const maxSpares = maxOperators

// spareAnswerTime is how long a request on a spare connection is answered before the
// connection may have to give way to one of the same address: longer than any operators'
// page takes but a profile, and than a client needs to read it.
const spareAnswerTime = 10 * time.Second

// spares are the connections that the public port accepts beyond its bound where it has
// the operators' pages, so that these are served while strangers hold all others. Who an
// operator is shows with the request, so each spare connection has time for one.
//
// A new connection takes the place of one of the address that has the most, itself
// included: of the oldest one that waits for its request, or else of the one that has been
// answered for longest, which gives way only to an address with fewer connections, or
// after spareAnswerTime. So an address with few connections keeps them while another one
// has more. One whose request was handled holds no place while its answer is written and
// the server waits for the client to close: half as many of these as there are places are
// open beside them.
//
// A request on a spare connection that asks for anything else is refused, unless a place
// within the bound has become free: then the connection is no longer spare.
type spares struct {
	places int

	mu   sync.Mutex // guards the two below, and asked and written of each connection
	held []*countedConn
	// finishing are those whose request was handled, the first of them first.
	finishing []*countedConn
}

// admit takes a connection, and returns the one to close for it: nil for none, and the
// connection itself where no place can be had.
func (s *spares) admit(conn *countedConn, now time.Time) (refused *countedConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	conn.spare.Store(true) // also where it is refused: Close does not count it within the bound
	if len(s.held) >= s.places {
		place := s.yielding(conn.owner, now)
		if place < 0 {
			return conn
		}
		refused = s.held[place]
		s.held = slices.Delete(s.held, place, place+1)
	}
	s.held = append(s.held, conn)
	return refused
}

// yielding returns the place that a connection from an address may take, or -1. The lock is
// held.
func (s *spares) yielding(newcomer netip.Addr, now time.Time) (place int) {
	counts := map[netip.Addr]int{newcomer: 1}
	most := 1
	for _, conn := range s.held {
		counts[conn.owner]++
		most = max(most, counts[conn.owner])
	}
	place = -1
	for i, conn := range s.held {
		if counts[conn.owner] != most || !conn.yields(counts[newcomer] < most, now) {
			continue
		}
		if place < 0 || conn.before(s.held[place]) {
			place = i
		}
	}
	return place
}

// yields reports whether a connection may have to give way to a new one, which toFewer
// says is from an address that has fewer. The lock is held.
func (c *countedConn) yields(toFewer bool, now time.Time) bool {
	return c.asked.IsZero() || toFewer || now.Sub(c.asked) >= spareAnswerTime
}

// before reports whether a connection gives way before another one, which was accepted
// earlier. The lock is held.
func (c *countedConn) before(other *countedConn) bool {
	if c.asked.IsZero() || other.asked.IsZero() {
		return c.asked.IsZero() && !other.asked.IsZero()
	}
	return c.asked.Before(other.asked)
}

// ownerOf returns what a connection is counted under: its address, or the IPv6 /64 of it.
func ownerOf(conn net.Conn) netip.Addr {
	remote, _ := conn.RemoteAddr().(*net.TCPAddr)
	if remote == nil {
		return netip.Addr{}
	}
	return guardrails.CountedAddress(remote.AddrPort().Addr())
}

// drop takes a connection that has been closed out of the spare ones. It reports false for
// one that counts within the bound.
func (s *spares) drop(conn *countedConn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	same := func(other *countedConn) bool { return other == conn }
	s.held, s.finishing = slices.DeleteFunc(s.held, same), slices.DeleteFunc(s.finishing, same)
	return conn.spare.Load()
}

// begin notes that a spare connection has brought a request. The connection is closed
// once that is answered. begin reports false when the connection has found a place within
// the bound.
func (l *boundedListener) begin(conn *countedConn, now time.Time) (spare bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !conn.spare.Load() {
		return false
	}
	i := slices.Index(l.held, conn)
	if i >= 0 && conn.asked.IsZero() && l.take() { // else it was closed meanwhile, or asks again over HTTP/2
		l.held = slices.Delete(l.held, i, i+1)
		conn.spare.Store(false)
		return false
	}
	if conn.asked.IsZero() {
		conn.asked = now
	}
	return true
}

// end notes that the request of a spare connection was handled. What is left of the answer
// is written, and the connection closed, by the server. Where too many are in that state,
// end returns one whose answer is written, to be closed at once, or the connection keeps
// its place.
func (s *spares) end(conn *countedConn) (finished *countedConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.held, conn)
	if i < 0 {
		return nil // it was closed meanwhile
	}
	if len(s.finishing) >= s.places/2 {
		written := slices.IndexFunc(s.finishing, func(other *countedConn) bool { return other.written })
		if written < 0 {
			return nil
		}
		finished = s.finishing[written]
		s.finishing = slices.Delete(s.finishing, written, written+1)
	}
	s.held = slices.Delete(s.held, i, i+1)
	s.finishing = append(s.finishing, conn)
	return finished
}

// CloseWrite is what net/http calls once an answer has been written to its end, and half a
// second before it closes the connection. It does not do so on TLS.
func (c *countedConn) CloseWrite() error {
	if c.spare.Load() {
		c.listener.mu.Lock()
		c.written = true
		c.listener.mu.Unlock()
	}
	return c.systemConn.CloseWrite()
}

type connectionKey struct{}

// withConnection is for http.Server.ConnContext.
func withConnection(ctx context.Context, conn net.Conn) context.Context {
	if counted := accepted(conn); counted != nil {
		return context.WithValue(ctx, connectionKey{}, counted)
	}
	return ctx
}

// accepted returns the connection below TLS and the PROXY protocol, or nil.
func accepted(conn net.Conn) *countedConn {
	if secured, ok := conn.(*tls.Conn); ok {
		conn = secured.NetConn()
	}
	if proxied, ok := conn.(*proxyproto.Conn); ok {
		conn = proxied.Raw()
	}
	counted, _ := conn.(*countedConn)
	return counted
}

// operatorsPaths are what spare connections serve.
var operatorsPaths = []string{"/health", "/metrics", "/internal/", "/debug/pprof/"}

// sparing serves operators' pages and health on spare connections, one a connection, and
// refuses all else there.
func (c *connections) sparing(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, _ := r.Context().Value(connectionKey{}).(*countedConn)
		if conn == nil || !conn.spare.Load() || !conn.listener.begin(conn, time.Now()) {
			next.ServeHTTP(w, r)
			return
		}
		defer func() {
			if finished := conn.listener.end(conn); finished != nil {
				_ = finished.Close()
			}
		}()
		w.Header().Set("Connection", "close")
		for _, path := range operatorsPaths {
			if strings.HasPrefix(r.URL.Path, path) {
				next.ServeHTTP(w, r)
				return
			}
		}
		c.refuse(conn.listener.most)
		w.Header().Set("Retry-After", "1")
		http.Error(w, "the gateway has as many connections as it may", http.StatusServiceUnavailable)
	})
}
