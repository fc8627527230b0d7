package engineio_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/fanout/engineio"
)

// A body that is not finished holds its memory for as long as its session lasts, and no
// longer than BodyTimeout.
func TestUnfinishedBodiesGiveTheirMemoryBack(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*engineio.Session){
		"the session ends": func(session *engineio.Session) { session.Close(engineio.ReasonShutdown) },
		"the time is up":   nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setup(t, options{configure: func(cfg *engineio.Config) {
				cfg.BodyTimeout = time.Hour
				if end == nil {
					cfg.BodyTimeout = 2 * time.Second // in which the beginning has to be written
				}
			}})
			id, o := s.openPolling()
			conn := s.beginPost(id, 1_000_000, strings.Repeat("x", 600_000))
			if end != nil {
				awaitBodyBytes(t, s, func(bytes int64) bool { return bytes >= 600_000 })
				end(o.session)
			}
			_ = conn.SetReadDeadline(time.Now().Add(patience))
			if response, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || response.StatusCode != http.StatusBadRequest {
				t.Errorf("the POST is answered with %v, %v", response, err)
			}
			receive(t, o.closed, "the end of the session")
			awaitBodyBytes(t, s, func(bytes int64) bool { return bytes == 0 })
		})
	}
}

// All bodies together have a bound, at which one more is refused and the sessions stay.
func TestBodiesAreBoundedTogether(t *testing.T) {
	t.Parallel()
	const largest = 40 << 20 // the bound is twice that
	s := setup(t, options{configure: func(cfg *engineio.Config) { cfg.MaxPayloadBytes = largest }})
	part := strings.Repeat("x", 16<<20) // fills its memory, so that the next byte takes twice as much
	for n := range int64(2) {
		id, _ := s.openPolling()
		conn := s.beginPost(id, largest, "")
		go func() { _, _ = io.WriteString(conn, part) }() // ends with the connection
		awaitBodyBytes(t, s, func(bytes int64) bool { return bytes == (n+1)*32<<20 })
	}
	id, _ := s.openPolling()
	conn := s.beginPost(id, largest, "")
	go func() { _, _ = io.WriteString(conn, part) }() // fails once the server has refused it
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		t.Error("not answered")
	case err == nil && response.StatusCode != http.StatusServiceUnavailable: // an error: reset, as the server has not read everything
		t.Errorf("answered %d", response.StatusCode)
	}
	id, _ = s.openPolling()
	if status, body := s.post(id, "3"); status != http.StatusOK {
		t.Errorf("a small body is answered with %d %s", status, body)
	}
}

// A poll with a body that does not arrive is no way around the server's timeouts.
func TestPollWithABodyThatNeverArrives(t *testing.T) {
	t.Parallel()
	s := setup(t, options{readTimeout: 3 * time.Second})
	id, o := s.openPolling()
	conn := s.write(fmt.Sprintf("GET /engine.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n", id))
	for end := time.Now().Add(patience); !o.session.Waiting(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no poll waits")
		}
	}
	if err := o.session.Send(engineio.TextMessage([]byte("x"))); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.Copy(io.Discard, conn); err != nil {
		t.Errorf("the connection stays: %v", err)
	}
}

// beginPost sends the beginning of a POST's body on a connection of its own.
func (s *stage) beginPost(id string, length int, beginning string) net.Conn {
	s.t.Helper()
	return s.write(fmt.Sprintf("POST /engine.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", id, length, beginning))
}

func (s *stage) write(request string) net.Conn {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.address)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, request); err != nil {
		s.t.Fatal(err)
	}
	return conn
}

func awaitBodyBytes(t *testing.T, s *stage, enough func(int64) bool) {
	t.Helper()
	for end := time.Now().Add(patience); !enough(s.server.BodyBytes()); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("bodies hold %d bytes", s.server.BodyBytes())
		}
	}
}
