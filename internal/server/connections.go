package server

import (
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// How the files that a process may open are shared out. A connection takes one, and a
// process that has none left accepts and closes nothing, writes no log and answers no
// operator. So the public port accepts up to a bound that leaves a reserve: what was
// open at the start, and a quarter of the limit for the log's files, the connections to
// the backends and the operators.
const (
	minReservedFiles = 64
	maxReservedFiles = 2048
	// minConnections is what the public port accepts however low the limit is.
	minConnections = 16
	// maxOperators bounds the connections to ADMIN_ADDR, which come out of the reserve.
	maxOperators = 32
	// maxUnreadSocketBytes is how much the system takes from this process of what one
	// client does not read. It takes several MiB otherwise, so that clients that read
	// nothing had much of the history read and encoded before they were noticed.
	maxUnreadSocketBytes = 256 << 10
	// refusalNotice is how often the log mentions refused connections.
	refusalNotice = time.Minute
)

// connectionBound returns how many connections the public port may have under a limit
// of open files of which some are in use already.
func connectionBound(limit uint64, inUse int) int {
	reserve := min(max(limit/4, minReservedFiles), maxReservedFiles) + uint64(inUse)
	if limit < reserve+minConnections {
		return minConnections
	}
	return int(min(limit-reserve, 1<<30))
}

// openFiles returns how many files this process has open, where the system tells, and
// otherwise what one with an embedded log has after its start.
func openFiles() int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return minReservedFiles
	}
	return len(entries)
}

// connections counts the accepted connections of all listeners, also those that were
// handed over to a socket. Its methods may be called concurrently.
type connections struct {
	logger  *slog.Logger
	refused prometheus.Counter

	open atomic.Int64

	mu     sync.Mutex // guards the two below
	told   time.Time
	untold int // refused since then
}

func newConnections(logger *slog.Logger, registerer prometheus.Registerer) (*connections, error) {
	c := &connections{logger: logger, refused: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "realtime_app_connections_refused_total",
		Help: "Connections that were closed at once, because the process keeps the files that it may still open for others.",
	})}
	if err := registerer.Register(c.refused); err != nil {
		return nil, err
	}
	return c, registerer.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "realtime_app_connections",
		Help: "Accepted connections that are open, sockets among them.",
	}, func() float64 { return float64(c.open.Load()) }))
}

// bounded returns a listener that closes what it accepts beyond a number of open
// connections; 0 is no bound. So many spare ones are accepted beyond it, see [spares].
func (c *connections) bounded(listener net.Listener, most, spare int) net.Listener {
	return &boundedListener{Listener: listener, among: c, most: int64(most), spares: spares{places: spare}}
}

// refuse counts a connection that was closed, and mentions it in the log, once in
// refusalNotice.
func (c *connections) refuse(most int64) {
	c.refused.Inc()
	c.mu.Lock()
	c.untold++
	untold := c.untold
	due := time.Since(c.told) >= refusalNotice
	if due {
		c.told, c.untold = time.Now(), 0
	}
	c.mu.Unlock()
	if due {
		c.logger.Warn("connections are closed at once: raise the limit of open files, or set SOCKET_MAX_CONNECTIONS", "open", most, "refused", untold)
	}
}

type boundedListener struct {
	net.Listener
	among *connections
	most  int64
	open  atomic.Int64 // of this listener, without the spare ones
	spares
}

// Accept implements net.Listener.
func (l *boundedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		network := conn.(systemConn)                     // of App.listen
		_ = network.SetWriteBuffer(maxUnreadSocketBytes) // the system's own bound serves as well
		accepted := &countedConn{systemConn: network, listener: l, remote: network.RemoteAddr()}
		if _, onUnix := conn.(*net.UnixConn); onUnix {
			accepted.remote = thisMachine
		}
		accepted.owner = ownerOf(accepted)
		l.among.open.Add(1)
		if l.take() {
			return accepted, nil
		}
		refused := l.admit(accepted, time.Now())
		if refused != nil {
			_ = refused.Close()
			l.among.refuse(l.most)
		}
		if refused != accepted {
			return accepted, nil
		}
	}
}

// take counts a connection within the bound. It reports false when there is no place.
func (l *boundedListener) take() bool {
	if l.open.Add(1) <= l.most || l.most == 0 {
		return true
	}
	l.open.Add(-1)
	return false
}

// systemConn is what TCP connections and those of UNIX sockets have: beside net.Conn, what
// net/http and the sockets look for.
type systemConn interface {
	net.Conn
	CloseWrite() error
	SetWriteBuffer(bytes int) error
	SyscallConn() (syscall.RawConn, error)
}

// countedConn is an accepted connection.
type countedConn struct {
	systemConn
	listener *boundedListener
	owner    netip.Addr // what it is counted under
	remote   net.Addr
	closed   atomic.Bool
	// spare is set, under the listener's lock of the spare ones, while the connection is
	// one of them.
	spare atomic.Bool
	// asked is when a spare connection has brought its request, and written is set once
	// its answer was written. The same lock guards both.
	asked   time.Time
	written bool
}

// RemoteAddr implements net.Conn.
func (c *countedConn) RemoteAddr() net.Addr { return c.remote }

// Close implements net.Conn.
func (c *countedConn) Close() error {
	if c.closed.CompareAndSwap(false, true) {
		defer func() {
			if !c.listener.drop(c) {
				c.listener.open.Add(-1)
			}
			c.listener.among.open.Add(-1)
		}()
	}
	return c.systemConn.Close()
}
