package freeaddr

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/letswriteabook/realtime/internal/filelock"
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
	// lock keeps other processes from the share until this one ends.
	lock *filelock.Lock
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
		port := own.first + rand.IntN(shareSize)
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
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

// takeShare takes a share that no other process has. Where all are taken, or no file can
// be locked, this process uses one together with another. own is locked.
func takeShare() {
	own.given = make(map[int]bool)
	for _, share := range rand.Perm(shares) {
		own.first = firstPort + share*shareSize
		lock, err := filelock.Take(filepath.Join(os.TempDir(), fmt.Sprintf("realtime-ports-%d.lock", own.first)))
		if err == nil {
			own.lock = lock
			return
		}
	}
}
