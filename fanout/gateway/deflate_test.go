package gateway_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/letswriteabook/realtime/lab/load/socket"
	"github.com/letswriteabook/realtime/messaging"
)

// meteredConn counts the bytes that a client reads.
type meteredConn struct {
	net.Conn
	read *atomic.Int64
}

func (c meteredConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.read.Add(int64(n))
	return n, err
}

// connectDeflating opens a socket that decompresses messages if compression is true. The
// bytes that it reads are added to read.
func (s *stage) connectDeflating(compression bool, query string, read *atomic.Int64) *socketClient {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	conn, err := socket.Open(ctx, socket.Config{
		Endpoint: s.url + "/ws", Query: query, Queue: 1024, Compression: compression,
		NetDial: func(ctx context.Context, network, address string) (net.Conn, error) {
			dialled, err := s.dial(ctx, network, address)
			return meteredConn{dialled, read}, err
		},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(conn.Kill)
	c := &socketClient{t: s.t, Socket: conn}
	if _, err := c.Connect(ctx, nil); err != nil {
		s.t.Fatal(err)
	}
	return c
}

// TestCompressedEventsAreTheSameEvents: sockets with and without compression, with and
// without offsets, and with one job or two, receive the same events of one job, live and
// in a catch-up.
func TestCompressedEventsAreTheSameEvents(t *testing.T) {
	t.Parallel()
	s := setup(t, options{deflate: true, sessions: newMemorySessions()})
	type viewer struct {
		*socketClient
		read   *atomic.Int64
		second bool
	}
	viewers := map[string]viewer{}
	open := func(when string) {
		for _, compression := range []bool{false, true} {
			for _, recovery := range []bool{false, true} {
				for _, second := range []bool{false, true} {
					v := viewer{read: new(atomic.Int64), second: second}
					v.socketClient = s.connectDeflating(compression, fmt.Sprintf("recovery=%v", recovery), v.read)
					if second {
						v.resume("other", 0)
						v.until("other")
					}
					v.resume("job", 0)
					viewers[fmt.Sprintf("%s compressed=%v offsets=%v second=%v", when, compression, recovery, second)] = v
				}
			}
		}
	}
	s.log.publish("other", 1)
	open("live")
	const events = 30
	for i := range events {
		s.log.append(record("job", []int{0, 900, 1100, 60_000}[i%4]))
	}
	open("catch-up")
	raw := map[uint64]string{}
	for name, v := range viewers {
		for next := uint64(2); next < 2+events; {
			m := v.next()
			if !m.isEvent() {
				continue
			}
			if m.Sequence != next || raw[next] != "" && raw[next] != m.Raw {
				t.Fatalf("%s: sequence %d, want %d, or other bytes than others received", name, m.Sequence, next)
			}
			raw[next] = m.Raw
			next++
		}
		plain := int64(events / 4 * 60_000)
		if read := v.read.Load(); strings.Contains(name, "compressed=true") != (read < plain/2) {
			t.Errorf("%s: %d bytes on the wire, the large events have %d", name, read, plain)
		}
	}
}

// until reads up to the end of the catch-up of a job.
func (c *socketClient) until(jobID string) {
	c.t.Helper()
	for {
		if m := c.next(); m.Name == messaging.EventCaughtUp && m.JobID == jobID {
			return
		}
	}
}
