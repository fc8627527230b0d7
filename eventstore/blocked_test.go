package eventstore_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/internal/natsserver"
)

// stubbornDialer dials until it is blocked. The NATS client holds its lock while
// it dials.
type stubbornDialer struct {
	mu      sync.Mutex // guards the fields below
	current net.Conn
	blocked chan struct{} // set while dialling blocks; closed to let it go on
	dialing chan struct{} // signalled when a dial blocks
}

func (d *stubbornDialer) Dial(network, address string) (net.Conn, error) {
	d.mu.Lock()
	blocked := d.blocked
	d.mu.Unlock()
	if blocked != nil {
		signal(d.dialing)
		<-blocked
	}
	conn, err := net.Dial(network, address)
	d.mu.Lock()
	d.current = conn
	d.mu.Unlock()
	return conn, err
}

// block cuts the connection and returns once the client dials another one, which
// takes until release is called.
func (d *stubbornDialer) block(t *testing.T) (release func()) {
	t.Helper()
	d.mu.Lock()
	blocked := make(chan struct{})
	d.blocked = blocked
	current := d.current
	d.mu.Unlock()
	_ = current.Close()
	await(t, "the client to dial", d.dialing)
	return sync.OnceFunc(func() {
		d.mu.Lock()
		d.blocked = nil
		d.mu.Unlock()
		close(blocked)
	})
}

// openStubborn opens the log on a server and a connection of its own, whose dialer can be
// blocked.
func openStubborn(t *testing.T) (*bundle, *stubbornDialer) {
	t.Helper()
	server := startServer(t, natsserver.Config{Listen: "127.0.0.1:0"})
	dialer := &stubbornDialer{dialing: make(chan struct{}, 1)}
	conn, err := eventstore.Connect(t.Context(), server.ClientURL(), eventstore.ConnConfig{Options: []nats.Option{nats.SetCustomDialer(dialer)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	b := open(t, conn)
	b.server = server
	return b, dialer
}

// While the client dials and holds its lock, whatever takes a context returns when
// that ends, and nothing else waits for those that wait for the client.
func TestClientThatDialsBlocksNobodyElse(t *testing.T) {
	t.Parallel()
	b, dialer := openStubborn(t)
	sessions := b.openSessions(t)
	heard := newListener()
	tail := runTail(t, b.log, heard)
	follow(t, tail, "kept", "left")

	release := dialer.block(t)
	defer release()
	unfollowed := make(chan struct{})
	go func() { // waits for the client's lock
		defer close(unfollowed)
		tail.Unfollow("left")
	}()
	// A tail whose lock is held could not even look up a job.
	steps := make(chan struct{})
	go func() {
		defer close(steps)
		for _, job := range []string{"fresh", "kept", "fresh"} {
			ended, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
			if err := tail.Follow(ended, job); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("follow %s: %v", job, err)
			}
			cancel()
		}
		sessions.Save(sessionID(1), []byte("state"))
		if state, found, err := sessions.Load(context.Background(), sessionID(1)); err != nil || !found || string(state) != "state" {
			t.Errorf("state that waits: %q, %v, %v", state, found, err)
		}
		ended, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		if _, _, err := sessions.Load(ended, sessionID(2)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("load: %v", err)
		}
		tail.Unfollow("fresh") // Its subscription is not there yet.
	}()
	await(t, "calls with a context to end while the client dials", steps)

	release()
	await(t, "the job to be unfollowed", unfollowed)
	eventually(t, "the connection to be back", func() bool { return b.conn.Status() == nats.CONNECTED })
	follow(t, tail, "again", "kept")
	eventually(t, "the jobs that are still followed", func() bool { return b.counter(t, "tail_followed_jobs") == 2 })
	b.add(t, record("left", "x"), record("fresh", "x"), record("kept", "last"))
	if live := await(t, "a record", heard.live); live.JobID != "kept" {
		t.Errorf("received a record of %q", live.JobID)
	}
}
