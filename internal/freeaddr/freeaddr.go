package freeaddr

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// The ports lie above those that need root or have a custom, and below those that Linux
// gives to outgoing connections and to servers that listen on port 0. They are divided into
// shares, of which each process takes one.
const (
	firstPort = 12000
	shares    = 19
	shareSize = 1000
	// portAttempts bounds how many ports are tried for one address.
	portAttempts = 200
)

// errNoPort is returned when no free port was found. A retry may help.
var errNoPort = errors.New("found no free port")

// own is the share of this process.
var own struct {
	sync.Mutex // guards the fields below
	// lock listens on the share's first port, and so keeps other processes from the share
	// until this one ends. It is nil where the share is not this process's alone.
	lock net.Listener
	// first is the first port of the share, and 0 before it is taken.
	first int
	// given are the ports that were given out, so that two callers never get the same one
	// while the first has not listened on it yet, or is away. It is cleared when it holds
	// half of the share: the earliest are not used any more by then.
	given map[int]bool
}

// New returns a loopback address on which no program listens. No outgoing connection takes
// it while who listens there is away, and no other process that calls New gets it while
// this one lives. It fails with errNoPort.
func New() (string, error) {
	own.Lock()
	defer own.Unlock()
	if own.first == 0 {
		takeShare()
	}
	if len(own.given) > shareSize/2 {
		clear(own.given)
	}
	for range portAttempts {
		port := own.first + 1 + rand.IntN(shareSize-1)
		address := loopback(port)
		if own.given[port] {
			continue
		}
		listener, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		if err := listener.Close(); err != nil {
			return "", fmt.Errorf("give back %s: %w", address, err)
		}
		own.given[port] = true
		return address, nil
	}
	return "", errNoPort
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// takeShare takes a share that no other process has. Where all are taken, this process
// uses one together with another. own is locked.
func takeShare() {
	own.given = make(map[int]bool)
	for _, share := range rand.Perm(shares) {
		own.first = firstPort + share*shareSize
		lock, err := net.Listen("tcp", loopback(own.first))
		if err == nil {
			own.lock = lock
			return
		}
	}
}
