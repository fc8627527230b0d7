package processes

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

// inside is the name of the link in the namespace.
const inside = "inside"

// Network is a network namespace that is connected to the machine's by a pair of links. Its
// cable can be pulled: then packets vanish without an error. Connections dialled in it
// reach servers that listen on every interface at [Network.Addr]. Its methods may be called
// concurrently.
//
// Its one goroutine keeps a thread in the namespace. [Network.Close] ends the goroutine,
// and with it the thread, the namespace and the links.
type Network struct {
	addr    string // of the machine, as seen from inside
	outside string // the link on the machine's side
	calls   chan func()
	ended   chan struct{}
	closing sync.Once
}

// NewNetwork creates a network with its cable plugged in. The error matches [ErrNoNetwork]
// if this is not possible.
func NewNetwork(ctx context.Context) (*Network, error) {
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("%w: it needs root", ErrNoNetwork)
	}
	if _, err := exec.LookPath("ip"); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoNetwork, err)
	}
	// One network for each process, with four addresses of its own, chosen by process id, in
	// the block that is reserved for benchmarks.
	pid := os.Getpid()
	subnet := net.IPv4(198, 18, byte(pid/64), byte(pid%64*4))
	host, guest := nth(subnet, 1), nth(subnet, 2)
	n := &Network{addr: host, outside: fmt.Sprint("rtfault", pid), calls: make(chan func()), ended: make(chan struct{})}
	entered := make(chan error, 1)
	go n.stay(entered) // ends with Close
	if err := <-entered; err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoNetwork, err)
	}
	var thread int
	n.do(func() { thread = syscall.Gettid() })
	err := ip(ctx, "link", "add", n.outside, "type", "veth", "peer", "name", inside, "netns", fmt.Sprint(thread))
	if err == nil {
		err = ip(ctx, "addr", "add", host+"/30", "dev", n.outside)
	}
	if err == nil {
		err = ip(ctx, "link", "set", n.outside, "up")
	}
	if err == nil {
		n.do(func() { err = ip(ctx, "addr", "add", guest+"/30", "dev", inside) })
	}
	if err == nil {
		err = n.Mend(ctx)
	}
	if err != nil {
		n.Close()
		return nil, fmt.Errorf("%w: %w", ErrNoNetwork, err)
	}
	return n, nil
}

// Addr returns the address, without a port, at which the machine is reached from inside.
func (n *Network) Addr() string { return n.addr }

// Cut pulls the cable.
func (n *Network) Cut(ctx context.Context) error { return n.set(ctx, "down") }

// Mend plugs the cable in again.
func (n *Network) Mend(ctx context.Context) error { return n.set(ctx, "up") }

func (n *Network) set(ctx context.Context, state string) error {
	err := net.ErrClosed
	n.do(func() { err = ip(ctx, "link", "set", inside, state) })
	return err
}

// Dial opens a connection from inside, to an address that is not a name.
func (n *Network) Dial(ctx context.Context, dialer *net.Dialer, network, address string) (net.Conn, error) {
	var conn net.Conn
	err := net.ErrClosed
	n.do(func() { conn, err = dialer.DialContext(ctx, network, address) })
	return conn, err
}

// Close ends the network. Connections in it stay open without a network. Further calls do
// nothing.
func (n *Network) Close() {
	n.closing.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), questionTimeout)
		defer cancel()
		_ = ip(ctx, "link", "del", n.outside) // takes the other end along; fails when there is none
		close(n.calls)
	})
	<-n.ended
}

// stay enters a new namespace and runs the calls of do there. Its thread is not reused: it
// ends with the goroutine.
func (n *Network) stay(entered chan<- error) {
	defer close(n.ended)
	runtime.LockOSThread()
	err := syscall.Unshare(syscall.CLONE_NEWNET)
	entered <- err
	if err != nil {
		return
	}
	for call := range n.calls {
		call()
	}
}

// do runs a function inside, and returns after it. It must not be called after Close.
func (n *Network) do(call func()) {
	done := make(chan struct{})
	n.calls <- func() {
		defer close(done)
		call()
	}
	<-done
}

// ip runs the command ip in the namespace of the thread.
func ip(ctx context.Context, args ...string) error {
	if said, err := exec.CommandContext(ctx, "ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %v: %w: %s", args, err, said)
	}
	return nil
}

// nth returns an address of a subnet.
func nth(subnet net.IP, n byte) string {
	address := append(net.IP{}, subnet.To4()...)
	address[3] += n
	return address.String()
}
