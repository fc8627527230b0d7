//go:build unix

package engineio

import (
	"errors"
	"net"
	"syscall"
)

// attempt writes to a connection without waiting. It is used by one goroutine.
type attempt struct {
	bytes []byte
	n     int
	err   error
	once  func(fd uintptr) bool // made once, so that a write allocates nothing
}

func newAttempt() *attempt {
	a := &attempt{}
	a.once = func(fd uintptr) bool {
		for {
			a.n, a.err = syscall.Write(int(fd), a.bytes) // #nosec G115 -- the descriptor of an open connection
			if !errors.Is(a.err, syscall.EINTR) {
				return true // whatever the outcome: false is to wait
			}
		}
	}
	return a
}

// write returns how much the network has taken.
func (a *attempt) write(raw syscall.RawConn, p []byte) (int, error) {
	a.bytes = p
	err := raw.Write(a.once)
	a.bytes = nil
	switch {
	case err != nil:
		return 0, err
	case errors.Is(a.err, syscall.EAGAIN):
		return 0, nil
	}
	return max(a.n, 0), a.err
}

// rawOf returns what an attempt needs of a connection; nil where it has none, as on TLS.
func rawOf(network net.Conn) syscall.RawConn {
	system, ok := network.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := system.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}
