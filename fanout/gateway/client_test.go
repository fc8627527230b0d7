package gateway_test

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/lab/load/socket"
	"github.com/letswriteabook/realtime/messaging"
)

// message is whatever a client is sent: the fields of every payload in one.
type message struct {
	Name string `json:"-"`
	SSE  string `json:"-"` // the id of a block of an event stream
	Raw  string `json:"-"`

	JobID          string           `json:"jobId"`
	EmittedAt      string           `json:"emittedAt"`
	Sequence       uint64           `json:"sequence"`
	ID             string           `json:"id"`
	Event          json.RawMessage  `json:"event"`
	Status         string           `json:"status"`
	Snapshot       json.RawMessage  `json:"snapshot"`
	From           uint64           `json:"from"`
	To             uint64           `json:"to"`
	Replayed       int              `json:"replayed"`
	Source         messaging.Source `json:"source"`
	Requested      uint64           `json:"requested"`
	FirstAvailable uint64           `json:"firstAvailable"`
	Reason         string           `json:"reason"`
	Position       string           `json:"position"`
	Timestamp      int64            `json:"timestamp"`
	messaging.Problem
}

// isEvent reports whether the message carries a record of the log.
func (m message) isEvent() bool { return m.Sequence > 0 }

// client is one client's view, over whichever transport.
type client interface {
	// next returns the next message. It fails the test after patience.
	next() message
	close()
}

// socketClient is a client over Socket.IO.
type socketClient struct {
	t testing.TB
	*socket.Socket
}

// dialSocket opens a transport; the test's cleanup closes it.
func (s *stage) dialSocket(origin string, queueLength int) *socket.Socket {
	s.t.Helper()
	header := http.Header{}
	if origin != "" {
		header.Set("Origin", origin)
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	conn, err := socket.Open(ctx, socket.Config{Endpoint: s.url + "/ws", Header: header, NetDial: s.dial, Queue: cmp.Or(queueLength, 1024)})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(conn.Kill)
	return conn
}

// connect opens a socket in the default namespace.
func (s *stage) connect() *socketClient {
	s.t.Helper()
	return s.connectFrom("", 0)
}

func (s *stage) connectFrom(origin string, queueLength int) *socketClient {
	s.t.Helper()
	c := &socketClient{t: s.t, Socket: s.dialSocket(origin, queueLength)}
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	if _, err := c.Connect(ctx, nil); err != nil {
		s.t.Fatal(err)
	}
	return c
}

func (c *socketClient) close() { c.Close() }

func (c *socketClient) emit(name string, args ...any) {
	c.t.Helper()
	if err := c.Emit(name, args...); err != nil {
		c.t.Fatal(err)
	}
}

// ask emits a request and returns its acknowledgement.
func (c *socketClient) ask(name string, args ...any) string {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	answer, err := c.EmitAck(ctx, name, args...)
	if err != nil || len(answer) != 1 {
		c.t.Fatalf("acknowledgement %s, %v", answer, err)
	}
	return string(answer[0])
}

// request is what subscribe takes.
type request struct {
	JobID string  `json:"jobId"`
	Since *uint64 `json:"since,omitempty"`
	Epoch string  `json:"epoch,omitempty"`
}

// subscribe asks for the newest events of a job, and takes the answer.
func (c *socketClient) subscribe(jobID string) {
	c.t.Helper()
	c.emit("subscribe", request{JobID: jobID})
	expect(c.t, c, messaging.EventSubscribed)
}

// resume asks for what follows a sequence, and takes the answer.
func (c *socketClient) resume(jobID string, since uint64) {
	c.t.Helper()
	c.emit("subscribe", request{JobID: jobID, Since: &since})
	expect(c.t, c, messaging.EventSubscribed)
}

func (c *socketClient) next() message {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	event, err := c.Next(ctx)
	if err != nil {
		c.t.Fatal(err)
	}
	return decode(c.t, event)
}

func decode(t testing.TB, event socket.Event) message {
	t.Helper()
	m := message{Name: event.Name}
	if args := argsOf(t, event); len(args) > 0 {
		m.Raw = string(args[0])
		if err := event.Decode(&m); err != nil {
			t.Fatalf("%v: %s", err, m.Raw)
		}
	}
	return m
}

// argsOf returns the arguments of an event.
func argsOf(t testing.TB, event socket.Event) []json.RawMessage {
	t.Helper()
	args, err := event.Args()
	if err != nil {
		t.Fatal(err)
	}
	return args
}

// streamClient is a client over Server-Sent Events.
type streamClient struct {
	t        testing.TB
	messages chan message
	comments chan string
	cancel   context.CancelFunc
	ended    chan struct{}
}

// stream opens an event stream; the test's cleanup closes it. since is empty for
// the newest events.
func (s *stage) stream(jobID, since string) *streamClient {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/api/realtime/jobs/"+url.PathEscape(jobID)+"/stream", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if since != "" {
		request.Header.Set("Last-Event-ID", since)
	}
	response, err := s.client.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "text/event-stream" {
		s.t.Fatalf("answer %s, %v", response.Status, response.Header)
	}
	c := &streamClient{
		t: s.t, messages: make(chan message, 64), comments: make(chan string, 64), cancel: cancel, ended: make(chan struct{}),
	}
	go func() { // ends when the stream does
		defer close(c.ended)
		defer response.Body.Close()
		c.read(ctx, bufio.NewScanner(response.Body))
	}()
	s.t.Cleanup(c.close)
	return c
}

// read takes blocks apart as the HTML Living Standard, section 9.2.6, says.
func (c *streamClient) read(ctx context.Context, lines *bufio.Scanner) {
	lines.Buffer(nil, 4<<20)
	m := message{}
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ": ")
		switch field {
		case "event":
			m.Name = value
		case "id":
			m.SSE = value
		case "data":
			m.Raw = value
			if err := json.Unmarshal([]byte(value), &m); err != nil && ctx.Err() == nil { // a cut leaves half a line
				c.t.Errorf("%v: %s", err, value)
			}
		case "":
			if m.Name == "" {
				select {
				case c.comments <- value:
				default:
				}
				continue
			}
			select {
			case c.messages <- m:
			case <-ctx.Done():
				return
			}
			m = message{}
		}
	}
}

func (c *streamClient) next() message {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	select {
	case m := <-c.messages:
		return m
	case <-c.ended:
		c.t.Fatal("the stream has ended")
	case <-ctx.Done():
		c.t.Fatal("no message")
	}
	return message{}
}

func (c *streamClient) close() {
	c.cancel()
	<-c.ended
}

// expect takes the next message, which has to be of this name.
func expect(t testing.TB, c client, name string) message {
	t.Helper()
	m := c.next()
	if m.Name != name {
		t.Fatalf("got %s %s, want %s", m.Name, m.Raw, name)
	}
	return m
}

// expectEvents takes the next messages, which have to be the events with these
// sequences.
func expectEvents(t testing.TB, c client, sequences ...uint64) {
	t.Helper()
	for i, want := range sequences {
		if m := c.next(); m.Sequence != want {
			t.Fatalf("event %d of %d: got %s %s, want sequence %d", i+1, len(sequences), m.Name, m.Raw, want)
		}
	}
}

// expectCaughtUp takes the end of a catch-up.
func expectCaughtUp(t testing.TB, c client, from, to uint64, replayed int, source messaging.Source) {
	t.Helper()
	m := expect(t, c, messaging.EventCaughtUp)
	if m.From != from || m.To != to || m.Replayed != replayed || m.Source != source {
		t.Fatalf("caught up %s, want from %d, to %d, %d replayed from %s", m.Raw, from, to, replayed, source)
	}
}

// collect takes messages until the event with the sequence last, and returns the
// events' sequences. Messages that are no events are given to other.
func collect(t testing.TB, c client, last uint64, other func(message)) []uint64 {
	t.Helper()
	var got []uint64
	for len(got) == 0 || got[len(got)-1] < last {
		switch m := c.next(); {
		case m.isEvent():
			got = append(got, m.Sequence)
		case other != nil:
			other(m)
		}
	}
	return got
}

// sameSequences compares what came with what was due.
func sameSequences(t testing.TB, got, want []uint64) {
	t.Helper()
	if slices.Equal(got, want) {
		return
	}
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Fatalf("delivery %d is sequence %d, want %d (%d delivered, %d due)", i, got[i], want[i], len(got), len(want))
		}
	}
	t.Fatalf("%d delivered, %d due", len(got), len(want))
}

// span returns the sequences from first to last.
func span(first, last uint64) []uint64 {
	var all []uint64
	for sequence := first; sequence <= last; sequence++ {
		all = append(all, sequence)
	}
	return all
}
