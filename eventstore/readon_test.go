package eventstore_test

import (
	"fmt"
	"net"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/internal/natsserver"
)

// heldDialer opens connections from which nothing more is read while they are held.
type heldDialer struct {
	mu   sync.Mutex
	gate chan struct{} // closed while nothing is held
}

func newHeldDialer() *heldDialer {
	d := &heldDialer{gate: make(chan struct{})}
	close(d.gate)
	return d
}

// hold keeps back what arrives until release is called.
func (d *heldDialer) hold() (release func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	gate := make(chan struct{})
	d.gate = gate
	return sync.OnceFunc(func() { close(gate) })
}

func (d *heldDialer) Dial(network, address string) (net.Conn, error) {
	conn, err := net.Dial(network, address)
	return heldConn{conn, d}, err
}

type heldConn struct {
	net.Conn
	dialer *heldDialer
}

func (c heldConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.dialer.mu.Lock()
	gate := c.dialer.gate
	c.dialer.mu.Unlock()
	<-gate
	return n, err
}

// While answers to reads are stuck, records are stored and heard live: those who read
// much hold up nobody who follows.
func TestReadsHoldUpNoLiveRecord(t *testing.T) {
	t.Parallel()
	server := startServer(t, natsserver.Config{Listen: "127.0.0.1:0"})
	b := open(t, connect(t, server.ClientURL()), func(c *eventstore.Config) { c.ReadTimeout = patience })
	b.add(t, record("history", "a"))
	dialer := newHeldDialer()
	reads, err := eventstore.Connect(t.Context(), server.ClientURL(), eventstore.ConnConfig{
		Options: []nats.Option{nats.SetCustomDialer(dialer), nats.PingInterval(patience), nats.NoReconnect()},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(reads.Close)
	b.log.ReadOn(reads)
	heard := newListener()
	tail := runTail(t, b.log, heard)
	follow(t, tail, "job")

	release := dialer.hold()
	defer release()
	read := make(chan error, 1)
	go func() { // ends with the read
		records, err := b.log.ReadAfter(t.Context(), "history", 0, 10)
		if err == nil && len(records) != 1 {
			err = fmt.Errorf("%d records were read", len(records))
		}
		read <- err
	}()
	for _, sequence := range b.add(t, record("job", "b"), record("job", "c")) {
		if live := await(t, "a live record", heard.live); live.Sequence != sequence {
			t.Errorf("sequence %d is heard, want %d", live.Sequence, sequence)
		}
	}
	select {
	case err := <-read:
		t.Fatalf("the read has ended, with %v", err)
	default:
	}
	release()
	if err := await(t, "the read", read); err != nil {
		t.Error(err)
	}
}
