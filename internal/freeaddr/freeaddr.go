package freeaddr

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// The ports that are tried: above those that need root or have a custom, and
// below those that Linux gives to outgoing connections.
const (
	firstPort    = 12000
	lastPort     = 31000
	portAttempts = 200
)

// errNoPort is returned when no free port was found. A retry may help.
var errNoPort = errors.New("found no free port")

// taken are the ports that this process has given out, so that two never get the same
// one while who wants it has not started yet.
var taken = struct {
	sync.Mutex // guards ports
	ports      map[int]bool
}{ports: map[int]bool{}}

// New returns a loopback address on which no program listens, and that outgoing connections
// do not take while who listens there is away. It fails with errNoPort.
func New() (string, error) {
	taken.Lock()
	defer taken.Unlock()
	for range portAttempts {
		port := firstPort + rand.IntN(lastPort-firstPort)
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		if taken.ports[port] {
			continue
		}
		listener, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		if err := listener.Close(); err != nil {
			return "", fmt.Errorf("give back %s: %w", address, err)
		}
		taken.ports[port] = true
		return address, nil
	}
	return "", errNoPort
}
