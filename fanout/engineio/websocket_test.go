package engineio_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/letswriteabook/realtime/fanout/engineio"
)

func TestHandshakeOverWebSocket(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	p := s.dial("")
	packet := p.read()
	id := openID(t, packet)
	if !strings.Contains(packet, `"upgrades":[]`) {
		t.Errorf("open packet %s offers an upgrade", packet)
	}
	o := s.next()
	want(t, "id", o.session.ID(), id)
	want(t, "transport", o.session.Transport(), "websocket")
}

func TestWebSocketMessages(t *testing.T) {
	t.Parallel()
	s := setup(t, options{react: echo})
	p, _ := s.openWebSocket()
	for _, text := range []string{"4hello", "4", "4é日本", "4" + strings.Repeat("x", 70_000)} {
		p.send(text)
		if got := p.read(); got != text {
			t.Errorf("echo of %.20q: %.20q", text, got)
		}
	}
	for _, data := range [][]byte{{}, {1, 2, 3, 4}, bytes.Repeat([]byte{7}, 70_000)} {
		if err := p.WriteMessage(websocket.BinaryMessage, data); err != nil {
			t.Fatal(err)
		}
		if got := p.read(); got != "b:"+string(data) {
			t.Errorf("echo of %d bytes: %.20q", len(data), got)
		}
	}
}

func TestMalformedPacketClosesOnlyItsConnection(t *testing.T) {
	t.Parallel()
	s := setup(t, options{react: echo})
	other, _ := s.openWebSocket()
	for _, test := range []struct{ packet, reason string }{
		{"abc", engineio.ReasonParseError},
		{"", engineio.ReasonParseError},
		{"7", engineio.ReasonParseError},
		{"4\xff", engineio.ReasonParseError},
		{"2", engineio.ReasonTransportError}, // a ping goes the other way
		{"0{}", engineio.ReasonTransportError},
		{"5", engineio.ReasonTransportError},
		{"1", engineio.ReasonTransportClose},
	} {
		p, o := s.openWebSocket()
		p.send(test.packet)
		p.expectClosed()
		want(t, fmt.Sprintf("reason after %q", test.packet), receive(t, o.closed, "close"), test.reason)
	}
	other.send("4alive")
	want(t, "the other session", other.read(), "4alive")
}

func TestCloseSendsTheRestFirst(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	p, o := s.openWebSocket()
	for i := range 100 {
		if err := o.session.Send(engineio.TextMessage(fmt.Append(nil, i))); err != nil {
			t.Fatal(err)
		}
	}
	o.session.Close("enough")
	for i := range 100 {
		want(t, "frame", p.read(), fmt.Sprintf("4%d", i))
	}
	want(t, "close code", p.expectClosed(), websocket.CloseNormalClosure)
	want(t, "reason", receive(t, o.closed, "close"), "enough")
	receive(t, o.session.Done(), "done")
	want(t, "send after close", o.session.Send(engineio.TextMessage(nil)), engineio.ErrClosed)
	want(t, "offer after close", o.session.Offer(engineio.TextMessage(nil)), false)
}

// What the client has sent and nobody has read must not make the kernel take
// back the last frames with a reset.
func TestLastFramesSurviveUnreadInput(t *testing.T) {
	t.Parallel()
	s := setup(t, options{react: func(o *owner, _ []byte, _ bool) {
		_ = o.session.Send(engineio.TextMessage(bytes.Repeat([]byte("last"), 50_000)))
		o.session.Close("enough")
	}})
	for range 20 {
		p, _ := s.openWebSocket()
		p.send("4go")
		for range 50 {
			if p.WriteMessage(websocket.TextMessage, append([]byte("4"), make([]byte, 2000)...)) != nil {
				break
			}
		}
		want(t, "last frame", len(p.read()), 200_001)
		want(t, "close code", p.expectClosed(), websocket.CloseNormalClosure)
	}
}

func TestOfferIsBounded(t *testing.T) {
	t.Parallel()
	s := setup(t, options{configure: func(cfg *engineio.Config) { cfg.QueueBytes = 64 << 10 }})
	p, o := s.openWebSocket()
	frame := engineio.TextMessage(bytes.Repeat([]byte("x"), 8<<10))
	accepted := 0
	for o.session.Offer(frame) {
		accepted++
	}
	if queued := o.session.QueuedBytes(); queued < 64<<10 || queued > 80<<10 {
		t.Errorf("%d bytes queued at the limit", queued)
	}
	for range accepted {
		want(t, "frame", len(p.read()), len(frame.Data))
	}
	receive(t, o.room, "room")
	if !o.session.Offer(frame) {
		t.Error("refused with an empty queue")
	}
	eventually(t, "empty queue", func() bool { return o.session.QueuedBytes() == 0 })
}

func TestSendPastTheHardLimitCloses(t *testing.T) {
	t.Parallel()
	s := setup(t, options{configure: func(cfg *engineio.Config) { cfg.QueueBytes = 64 << 10 }})
	p, o := s.openWebSocket()
	if err := o.session.Send(engineio.TextMessage(make([]byte, 300<<10))); err != nil {
		t.Errorf("a large frame on an empty queue: %v", err)
	}
	p.read()
	var err error
	for sent := 0; err == nil; sent++ {
		if sent > 10_000 {
			t.Fatal("never refused")
		}
		err = o.session.Send(engineio.TextMessage(make([]byte, 8<<10)))
	}
	want(t, "error", err, engineio.ErrQueueFull)
	want(t, "reason", receive(t, o.closed, "close"), engineio.ReasonQueueFull)
}

func TestConcurrentSendersKeepTheirOrder(t *testing.T) {
	t.Parallel()
	const senders, each = 8, 200
	s := setup(t, options{})
	p, o := s.openWebSocket()
	for sender := range senders {
		go func() { // ends after its messages
			for i := range each {
				_ = o.session.Send(engineio.TextMessage(fmt.Appendf(nil, "%d %d", sender, i)))
			}
		}()
	}
	var next [senders]int
	for range senders * each {
		var sender, i int
		if _, err := fmt.Sscanf(p.read(), "4%d %d", &sender, &i); err != nil {
			t.Fatal(err)
		}
		want(t, "order", i, next[sender])
		next[sender]++
	}
}

func TestRequestIsStripped(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	header := http.Header{"Origin": {"https://a.test"}, "X-Secret-Of-The-Proxy": {"1"}, "X-Forwarded-For": {"1.2.3.4", "5.6.7.8"}}
	conn, _, err := s.dialer.Dial(s.url("ws", "EIO=4&transport=websocket&token=t"), header)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	request := s.next().session.Request()
	want(t, "origin", request.Header.Get("Origin"), "https://a.test")
	want(t, "forwarded", strings.Join(request.Header.Values("X-Forwarded-For"), ","), "1.2.3.4,5.6.7.8")
	want(t, "headers", len(slices.Collect(keys(request.Header))), 2) // no User-Agent
	want(t, "query", request.URL.Query().Get("token"), "t")
	want(t, "host", request.Host, s.address)
	if request.RemoteAddr == "" || request.Method != http.MethodGet {
		t.Errorf("remote address %q, method %q", request.RemoteAddr, request.Method)
	}
}

func keys(header http.Header) func(func(string) bool) {
	return func(yield func(string) bool) {
		for name := range header {
			if name == "User-Agent" && header.Get(name) == "" {
				continue
			}
			if !yield(name) {
				return
			}
		}
	}
}

func TestShutdown(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	var peers []peer
	var owners []*owner
	for range 20 {
		p, o := s.openWebSocket()
		_ = o.session.Send(engineio.TextMessage([]byte("last")))
		peers, owners = append(peers, p), append(owners, o)
	}
	id, waiting := s.openPolling()
	polled := make(chan string, 1)
	go func() { // ends with the session
		_, body := s.poll(id)
		polled <- body
	}()
	eventually(t, "poll to wait", waiting.session.Waiting)
	for _, p := range peers {
		go func() { // a client answers the close frame; ends with the connection
			for {
				if _, _, err := p.NextReader(); err != nil {
					return
				}
			}
		}()
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := s.server.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	for _, o := range append(owners, waiting) {
		select {
		case reason := <-o.closed:
			want(t, "reason", reason, engineio.ReasonShutdown)
		default:
			t.Error("a callback had not returned")
		}
	}
	// Not with the close packet, after which python-engineio would not come back.
	want(t, "waiting poll", receive(t, polled, "poll"), `{"code":3,"message":"Bad request"}`)
	want(t, "sessions", s.server.Len(), 0)
	status, _ := s.request(http.MethodGet, "EIO=4&transport=polling", "", "")
	want(t, "handshake after it", status, http.StatusServiceUnavailable)
	_, response, err := s.dialer.Dial(s.url("ws", "EIO=4&transport=websocket"), nil)
	if err == nil || response == nil || response.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("WebSocket after it: %v %v", response, err)
	}
}

func TestShutdownCutsWhatDoesNotEnd(t *testing.T) {
	t.Parallel()
	onFakeClock(t, options{configure: func(cfg *engineio.Config) { cfg.WriteTimeout = time.Hour }}, func(t *testing.T, s *stage) {
		_, o := s.openWebSocket()
		_ = o.session.Send(engineio.TextMessage([]byte("never read")))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.server.Shutdown(ctx); err == nil {
			t.Error("no error for a connection that had to be cut")
		}
		want(t, "reason", <-o.closed, engineio.ReasonShutdown)
	})
}
