package mongokit

import (
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// Delay is a relay in front of a MongoDB-protocol server that delays each command and
// counts the finds for a job. Its methods may be called concurrently.
//
// Each connection has two goroutines; both end with it, or with the test.
type Delay struct {
	listener net.Listener
	target   string
	delay    atomic.Int64 // of each command, in nanoseconds
	running  sync.WaitGroup

	mu     sync.Mutex // guards the fields below
	conns  map[net.Conn]struct{}
	closed bool
	finds  map[find]int
}

// find is the key by which finds are counted.
type find struct{ collection, job string }

// NewDelay starts a relay to the server of a connection string, without a delay, and
// returns it with the connection string of the relay. It stops with the test.
func NewDelay(t testing.TB, uri string) (*Delay, string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return relay(t, uri, listener)
}

// WithTLS starts a relay to the server of a connection string that speaks TLS with clients,
// and returns the connection string of the relay. It stops with the test.
func WithTLS(t testing.TB, uri string, cfg *tls.Config) string {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", cfg)
	if err != nil {
		t.Fatal(err)
	}
	_, secured := relay(t, uri, listener)
	return secured
}

func relay(t testing.TB, uri string, listener net.Listener) (*Delay, string) {
	t.Helper()
	address, err := url.Parse(uri)
	if err != nil {
		t.Fatal(err)
	}
	d := &Delay{listener: listener, target: address.Host, conns: make(map[net.Conn]struct{}), finds: make(map[find]int)}
	d.running.Go(d.accept) // ends with the listener
	t.Cleanup(d.close)
	address.Host = d.listener.Addr().String()
	return d, address.String()
}

// Set sets the delay of every later command.
func (d *Delay) Set(delay time.Duration) { d.delay.Store(int64(delay)) }

// Finds returns how many finds on a collection had the job as their filter's jobId or _id.
func (d *Delay) Finds(collection, job string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.finds[find{collection, job}]
}

func (d *Delay) close() {
	_ = d.listener.Close()
	d.mu.Lock()
	d.closed = true
	for conn := range d.conns {
		_ = conn.Close()
	}
	d.mu.Unlock()
	d.running.Wait()
}

func (d *Delay) accept() {
	for {
		client, err := d.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", d.target)
		if err != nil {
			_ = client.Close()
			continue
		}
		d.mu.Lock()
		if d.closed {
			_, _ = client.Close(), server.Close()
		} else {
			d.conns[client], d.conns[server] = struct{}{}, struct{}{}
			d.running.Go(func() { d.end(client, server, d.commands(server, client)) })
			d.running.Go(func() { _, err := io.Copy(client, server); d.end(client, server, err) })
		}
		d.mu.Unlock()
	}
}

// end closes both ends of a connection. The error that ended it is ignored.
func (d *Delay) end(client, server net.Conn, _ error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, conn := range []net.Conn{client, server} {
		_ = conn.Close()
		delete(d.conns, conn)
	}
}

// maxMessage is the largest message that MongoDB takes.
const maxMessage = 48_000_000

// commands forwards one message after the other.
func (d *Delay) commands(server io.Writer, client io.Reader) error {
	for {
		// https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol
		message := make([]byte, 4)
		if _, err := io.ReadFull(client, message); err != nil {
			return err
		}
		size := binary.LittleEndian.Uint32(message)
		if size < 16 || size > maxMessage {
			return fmt.Errorf("a message of %d bytes", size)
		}
		message = append(message, make([]byte, size-4)...)
		if _, err := io.ReadFull(client, message[4:]); err != nil {
			return err
		}
		d.count(message)
		time.Sleep(time.Duration(d.delay.Load()))
		if _, err := server.Write(message); err != nil {
			return err
		}
	}
}

// count counts the message if it is a find.
//
//	header (16 bytes, the last 4 of them the opcode 2013) · flags (4) · kind 0 (1) · command
func (d *Delay) count(message []byte) {
	const command = 16 + 4 + 1
	if len(message) < command || binary.LittleEndian.Uint32(message[12:]) != 2013 || message[command-1] != 0 {
		return
	}
	body := bson.Raw(message[command:])
	collection, isFind := body.Lookup("find").StringValueOK()
	job, named := body.Lookup("filter", "jobId").StringValueOK()
	if !named { // the _id of a head is its job
		job, named = body.Lookup("filter", "_id").StringValueOK()
	}
	if !isFind || !named {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.finds[find{collection, job}]++
}
