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

	"github.com/pires/go-proxyproto"
)

// maxSpares bounds the spare connections of the public port, which come out of the
// reserve of files as those to ADMIN_ADDR do.
const maxSpares = maxOperators

// spares are the connections that the public port accepts beyond its bound where it has
// the operators' pages, so that these are served while strangers hold all others. Who an
// operator is shows with the request, so each spare connection has time for one. A new
// connection always gets a place: that of the oldest one that waits for its request,
// from the address that has the most of these.
//
// A request on a spare connection that asks for anything else is refused, unless a place
// within the bound has become free: then the connection is no longer spare.
type spares struct {
	places int

	mu        sync.Mutex // guards the two below
	waiting   []*countedConn
	answering int
}

// admit takes a connection, and returns the one to close for it: nil for none, and the
// connection itself where no place can be had.
func (s *spares) admit(conn *countedConn) (refused *countedConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting)+s.answering >= s.places {
		if len(s.waiting) == 0 {
			conn.spare.Store(true) // which Close does not count within the bound
			return conn
		}
		refused = s.waiting[s.greedy()]
	}
	conn.spare.Store(true)
	s.waiting = append(s.waiting, conn)
	return refused
}

// greedy returns the place of the oldest waiting connection from the address that has the
// most of them. The lock is held.
func (s *spares) greedy() (place int) {
	counts := make(map[netip.Addr]int, len(s.waiting))
	for _, conn := range s.waiting {
		counts[conn.address()]++
	}
	for i, conn := range s.waiting {
		if counts[conn.address()] > counts[s.waiting[place].address()] {
			place = i
		}
	}
	return place
}

func (c *countedConn) address() netip.Addr {
	remote, _ := c.RemoteAddr().(*net.TCPAddr)
	if remote == nil {
		return netip.Addr{}
	}
	return remote.AddrPort().Addr().Unmap()
}

// drop takes a connection that has been closed out of the spare ones. It reports false for
// one that counts within the bound.
func (s *spares) drop(conn *countedConn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = slices.DeleteFunc(s.waiting, func(other *countedConn) bool { return other == conn })
	return conn.spare.Load()
}

// begin says that a spare connection has brought a request, which is being answered until
// end. It reports false when the connection has found a place within the bound.
func (l *boundedListener) begin(conn *countedConn) (spare bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.Index(l.waiting, conn); i >= 0 { // else it was closed meanwhile
		l.waiting = slices.Delete(l.waiting, i, i+1)
		if l.take() {
			conn.spare.Store(false)
			return false
		}
	}
	l.answering++
	return true
}

// end says that the request of a spare connection was answered. Until the connection is
// closed, it is the first to make room.
func (l *boundedListener) end(conn *countedConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answering--
	if !conn.closed.Load() {
		l.waiting = slices.Insert(l.waiting, 0, conn)
	}
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
		if conn == nil || !conn.spare.Load() || !conn.listener.begin(conn) {
			next.ServeHTTP(w, r)
			return
		}
		defer conn.listener.end(conn)
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
