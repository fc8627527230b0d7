//go:build unix

package engineio

import (
	"errors"
	"net"
	"syscall"
)

// attempt writes to a connection without waiting. Only one goroutine may use it.
type attempt struct {
	bytes []byte
	n     int
	err   error
	once  func(fd uintptr) bool // created once, so that a write does not allocate
}

func newAttempt() *attempt {
	a := &attempt{}
	a.once = func(fd uintptr) bool {
		for {
			a.n, a.err = syscall.Write(int(fd), a.bytes) // #nosec G115 -- the descriptor of an open connection
			if !errors.Is(a.err, syscall.EINTR) {
				return true // false would wait
			}
		}
	}
	return a
}

// write returns how many bytes the network has accepted.
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

// rawOf returns the raw connection for an attempt, or nil if there is none, as with TLS.
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
