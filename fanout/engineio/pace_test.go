package engineio_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/letswriteabook/realtime/fanout/engineio"
)

// meter is an intake that lets a number of bytes through and nothing after them.
type meter struct {
	mu    sync.Mutex // guards the two below
	left  int
	spent int
	full  chan struct{} // closed when no more is let through
	ended chan struct{}
}

func newMeter(bytes int) *meter {
	return &meter{left: bytes, full: make(chan struct{}), ended: make(chan struct{})}
}

func (m *meter) Spend(bytes int) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.spent += bytes
	if m.left > 0 {
		m.left -= bytes
		if m.left <= 0 {
			close(m.full)
		}
	}
	if m.left > 0 {
		return 0
	}
	return time.Hour
}

func (m *meter) End() { close(m.ended) } // a second time panics

func (m *meter) total() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.spent
}

// A client that sends more than it may is not read from: what it sent waits in the
// network, and the end of the session does not wait for it.
func TestClientsAreReadFromAtTheirRate(t *testing.T) {
	t.Parallel()
	const most = 100_000
	m := newMeter(most)
	s := setup(t, options{configure: func(cfg *engineio.Config) {
		cfg.NewIntake = func(*http.Request) engineio.Intake { return m }
	}})
	p, o := s.openWebSocket()
	sent := make(chan struct{})
	go func() { // ends with the connection
		defer close(sent)
		message := []byte("4" + strings.Repeat("x", 8<<10))
		for p.WriteMessage(websocket.TextMessage, message) == nil {
		}
	}()
	<-m.full
	o.session.Close("enough")
	want(t, "reason", receive(t, o.closed, "close"), "enough")
	receive(t, m.ended, "end of the intake")
	receive(t, sent, "end of the client")
	// Beside the last read, each message has a cost of its own.
	if spent := m.total(); spent > most+16<<10+128 {
		t.Errorf("%d bytes were read of a client that may send %d", spent, most)
	}
}

// Small packets are bounded as well, by what each costs beside its bytes.
func TestSmallPacketsHaveACost(t *testing.T) {
	t.Parallel()
	m := newMeter(1 << 20)
	s := setup(t, options{configure: func(cfg *engineio.Config) {
		cfg.NewIntake = func(*http.Request) engineio.Intake { return m }
	}})
	p, o := s.openWebSocket()
	for range 100 {
		p.send("4")
		receive(t, o.messages, "message")
	}
	if spent := m.total(); spent < 100*100 {
		t.Errorf("100 packets cost %d bytes", spent)
	}
}

// The body of a POST is read at the rate of its session, and not any more once the
// session has ended.
func TestPostsAreReadAtTheirRate(t *testing.T) {
	t.Parallel()
	const most = 100_000
	m := newMeter(most)
	s := setup(t, options{configure: func(cfg *engineio.Config) {
		cfg.NewIntake = func(*http.Request) engineio.Intake { return m }
	}})
	id, o := s.openPolling()
	answered := make(chan struct{})
	go func() { // ends with the session
		defer close(answered)
		request, err := http.NewRequest(http.MethodPost, s.url("http", "EIO=4&transport=polling&sid="+id), strings.NewReader("4"+strings.Repeat("x", 900_000)))
		if err != nil {
			return
		}
		if response, err := s.client.Do(request); err == nil {
			_, _ = io.Copy(io.Discard, response.Body)
			_ = response.Body.Close()
		}
	}()
	<-m.full
	o.session.Close("enough")
	receive(t, o.closed, "close")
	receive(t, m.ended, "end of the intake")
	receive(t, answered, "answer")
	if spent := m.total(); spent > most+16<<10 {
		t.Errorf("%d bytes were read of a client that may send %d", spent, most)
	}
}

// The intake of a session that is never started ends too: its owner's usage is returned,
// and the next connection does not begin with a whole burst.
func TestRefusedHandshakesEndTheirIntake(t *testing.T) {
	t.Parallel()
	intakes := make(chan *meter, 8)
	s := setup(t, options{configure: func(cfg *engineio.Config) {
		cfg.NewIntake = func(*http.Request) engineio.Intake {
			m := newMeter(1 << 20)
			intakes <- m
			return m
		}
	}})
	const key = "dGhlIHNhbXBsZSBub25jZQ=="
	request := func(key string) *http.Request {
		r := httptest.NewRequest(http.MethodGet, "/engine.io/?EIO=4&transport=websocket", nil)
		r.Header = http.Header{
			"Connection": {"Upgrade"}, "Upgrade": {"websocket"},
			"Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {key},
		}
		return r
	}
	ended := func(what string) {
		t.Helper()
		m := receive(t, intakes, "intake after "+what)
		receive(t, m.ended, "end of the intake after "+what)
	}
	s.server.ServeHTTP(httptest.NewRecorder(), request("short"))
	ended("an invalid key")
	s.server.ServeHTTP(httptest.NewRecorder(), request(key))
	ended("a connection that cannot be taken over")

	early := rawConn(t, s)
	var handshake bytes.Buffer
	_ = request(key).Write(&handshake)
	handshake.WriteString("before the answer")
	if _, err := early.Write(handshake.Bytes()); err != nil {
		t.Fatal(err)
	}
	ended("bytes before the answer")

	if err := s.server.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.server.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/engine.io/?EIO=4&transport=polling", nil))
	ended("the end of the server")
}
