//go:build !unix

package engineio

import (
	"net"
	"syscall"
)

// attempt is not used on this system: every write runs on a goroutine that waits.
type attempt struct{}

func newAttempt() *attempt { return nil }

func (*attempt) write(syscall.RawConn, []byte) (int, error) { return 0, syscall.ENOTSUP }

// rawOf returns nil, so that no write is attempted.
func rawOf(net.Conn) syscall.RawConn { return nil }
