package engineio_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/letswriteabook/realtime/fanout/engineio"
)

// Each test is named after the advisory it repeats, or the class of attack.

func TestCVE202036048ManyTinyPackets(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	id, o := s.openPolling()
	status, _ := s.post(id, "6"+strings.Repeat("\x1e6", 499_999)) // just within the size limit
	want(t, "status", status, 400)
	want(t, "reason", receive(t, o.closed, "close"), engineio.ReasonParseError)

	id, o = s.openPolling()
	status, _ = s.post(id, "4"+strings.Repeat("\x1e4", 9_999))
	want(t, "status of a lot that is not too much", status, 200)
	want(t, "messages", len(o.messages), 10_000)
}

func TestCVE202036049HugePost(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	id, o := s.openPolling()
	status, _ := s.post(id, "4"+strings.Repeat("x", 999_999))
	want(t, "status at the limit", status, 200)
	status, _ = s.post(id, "4"+strings.Repeat("x", 1_000_000))
	want(t, "status past the limit", status, 413)
	// Without a Content-Length the body is cut off where the limit is.
	request, err := http.NewRequest(http.MethodPost, s.url("http", "EIO=4&transport=polling&sid="+id), io.MultiReader(strings.NewReader("4"+strings.Repeat("x", 2_000_000))))
	if err != nil {
		t.Fatal(err)
	}
	if response, err := s.client.Do(request); err == nil { // or reset while still sending
		want(t, "status of a chunked body", response.StatusCode, 413)
		_ = response.Body.Close()
	}
	want(t, "messages", len(o.messages), 1)
}

// frame returns a masked client frame.
func frame(first byte, payload []byte) []byte {
	out := []byte{first}
	switch {
	case len(payload) < 126:
		out = append(out, 0x80|byte(len(payload)))
	default:
		out = binary.BigEndian.AppendUint16(append(out, 0x80|126), uint16(len(payload)))
	}
	return append(append(out, 0, 0, 0, 0), payload...) // a mask of zeros
}

func TestCVE202221676BadFrames(t *testing.T) {
	t.Parallel()
	s := setup(t, options{react: echo})
	other, _ := s.openWebSocket()
	for name, raw := range map[string][]byte{
		"RSV1":                          frame(0xc1, []byte("4x")),
		"RSV2":                          frame(0xa1, []byte("4x")),
		"RSV3":                          frame(0x91, []byte("4x")),
		"unknown opcode":                frame(0x83, []byte("4x")),
		"no mask":                       {0x81, 2, '4', 'x'},
		"continuation of nothing":       frame(0x80, []byte("4x")),
		"long control frame":            frame(0x89, bytes.Repeat([]byte("x"), 126)),
		"fragmented control":            frame(0x09, nil),
		"close code that is none":       frame(0x88, []byte{0, 1}),
		"length with the sign bit":      {0x81, 0x80 | 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0},
		"length past the limit":         {0x81, 0x80 | 127, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0},
		"text that is not UTF-8":        frame(0x81, []byte("4\xc3\x28")),
		"new message inside a fragment": append(frame(0x01, []byte("4x")), frame(0x81, []byte("4y"))...),
	} {
		p, o := s.openWebSocket()
		if _, err := p.NetConn().Write(raw); err != nil {
			t.Fatal(err)
		}
		p.expectClosed()
		if reason := receive(t, o.closed, "close after "+name); reason == "" || len(o.messages) > 0 {
			t.Errorf("%s: reason %q", name, reason)
		}
	}
	other.send("4alive")
	want(t, "the other session", other.read(), "4alive")
}

func TestCVE202241940Reset(t *testing.T) {
	t.Parallel()
	s := setup(t, options{react: echo})
	for range 20 {
		p, o := s.openWebSocket()
		_ = p.NetConn().(*net.TCPConn).SetLinger(0)
		_ = p.NetConn().Close()
		receive(t, o.closed, "close")
	}
	id, _ := s.openPolling()
	probing := s.dial(id)
	probing.send("2probe")
	want(t, "probe", probing.read(), "3probe")
	_ = probing.NetConn().(*net.TCPConn).SetLinger(0)
	_ = probing.NetConn().Close()
	s.post(id, "4still")
	_, body := s.poll(id)
	if !strings.HasSuffix(body, "4still") {
		_, body = s.poll(id)
		want(t, "the session that was upgrading", body, "4still")
	}
	eventually(t, "melody to forget them", func() bool { return s.server.MelodyLen() == 0 })
}

func TestCVE202331125UpgradeWithoutTransport(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	id, _ := s.openPolling()
	for _, query := range []string{"EIO=4&sid=" + id, "EIO=4&transport=&sid=" + id, "EIO=4&transport=polling&sid=" + id, "EIO=4", "EIO=4&transport=polling"} {
		conn, response, err := s.dialer.Dial(s.url("ws", query), nil)
		if err == nil {
			_ = conn.Close()
			t.Errorf("%s: accepted", query)
			continue
		}
		want(t, query, response.StatusCode, 400)
	}
	s.post(id, "4alive")
	want(t, "sessions", s.server.Len(), 1)
}

func TestCVE2026102599UpgradeWithAnotherProtocol(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	id, _ := s.openPolling()
	for _, version := range []string{"3", "5", "", "abc", "04"} {
		_, response, err := s.dialer.Dial(s.url("ws", "transport=websocket&EIO="+version+"&sid="+id), nil)
		if err == nil || response.StatusCode != 400 {
			t.Errorf("EIO=%s: %v", version, err)
		}
		status, _ := s.request(http.MethodPost, "transport=polling&EIO="+version+"&sid="+id, "", "4x")
		want(t, "POST with EIO="+version, status, 400)
	}
}

func TestCVE202659724PrototypeSession(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	for _, id := range []string{"__proto__", "constructor", "toString", "%00", "..%2f", strings.Repeat("x", 4096)} {
		for _, transport := range []string{"polling", "websocket"} {
			status, body := s.request(http.MethodGet, "EIO=4&transport="+transport+"&sid="+id, "", "")
			want(t, "status", status, 400)
			want(t, "body", body, `{"code":1,"message":"Session ID unknown"}`)
		}
		_, response, err := s.dialer.Dial(s.url("ws", "EIO=4&transport=websocket&sid="+id), nil)
		if err == nil || response.StatusCode != 400 {
			t.Errorf("sid=%.20s: %v", id, err)
		}
	}
}

func TestCVE202659725OctetStream(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	for _, kind := range []string{"application/octet-stream", "Application/Octet-Stream; charset=x"} {
		id, o := s.openPolling()
		status, _ := s.request(http.MethodPost, "EIO=4&transport=polling&sid="+id, kind, "\x00\x01\x02")
		want(t, "status", status, 400)
		want(t, "reason", receive(t, o.closed, "close"), engineio.ReasonTransportError)
	}
}

func TestCVE202648779TinyFragments(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	flood := func(first, next []byte) (closed bool) {
		p, o := s.openWebSocket()
		writer := bufio.NewWriterSize(p.NetConn(), 4096)
		_, _ = writer.Write(first)
		for range 100_000 {
			if _, err := writer.Write(next); err != nil {
				break
			}
		}
		_ = writer.Flush()
		select {
		case <-o.closed:
			return true
		case <-time.After(patience):
			return false
		}
	}
	if !flood(frame(0x01, []byte("4")), frame(0x00, nil)) {
		t.Error("empty fragments without end")
	}
	if !flood(frame(0x01, []byte("4")), frame(0x00, []byte("x"))) {
		t.Error("fragments of one byte without end")
	}

	p, o := s.openWebSocket() // what a library may do remains possible
	_, _ = p.NetConn().Write(frame(0x01, []byte("4")))
	for range 1000 {
		_, _ = p.NetConn().Write(frame(0x00, []byte("x")))
	}
	_, _ = p.NetConn().Write(frame(0x80, nil))
	want(t, "message", receive(t, o.messages, "message"), strings.Repeat("x", 1000))
}

// A message may not take longer to arrive than a client may be silent.
func TestCVE202648779SlowFragments(t *testing.T) {
	t.Parallel()
	onFakeClock(t, options{}, func(t *testing.T, s *stage) {
		p, o := s.openWebSocket()
		_ = p.SetReadDeadline(time.Time{})
		start := time.Now()
		go drain(p.NetConn()) // ends with the connection
		_, err := p.NetConn().Write(frame(0x01, []byte("4")))
		for err == nil {
			time.Sleep(time.Second)
			_, err = p.NetConn().Write(frame(0x00, []byte("x")))
		}
		want(t, "reason", <-o.closed, engineio.ReasonPingTimeout)
		if after := time.Since(start); after > 46*time.Second {
			t.Errorf("closed after %s", after)
		}
	})
}

func TestFloodOfPings(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	p, o := s.openWebSocket()
	go drain(p.NetConn()) // ends with the connection
	ping := frame(0x89, []byte("x"))
	for range 100_000 {
		if _, err := p.NetConn().Write(ping); err != nil {
			break
		}
	}
	want(t, "reason", receive(t, o.closed, "close"), engineio.ReasonTransportError)

	p, o = s.openWebSocket() // a client with pings of its own is welcome
	for range 200 {
		_ = p.WriteControl(websocket.PingMessage, nil, time.Now().Add(patience))
	}
	p.send("4alive")
	want(t, "message", receive(t, o.messages, "message"), "alive")
}

func TestFloodOfPongs(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	for _, packet := range []string{"3", "6"} {
		p, o := s.openWebSocket()
		for range 100 {
			if p.WriteMessage(websocket.TextMessage, []byte(packet)) != nil {
				break
			}
		}
		p.expectClosed()
		want(t, "reason", receive(t, o.closed, "close"), engineio.ReasonTransportError)
	}
}

// What comes with the handshake request was not written by a WebSocket client.
func TestDataBeforeTheHandshake(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	conn := rawConn(t, s)
	_, _ = io.WriteString(conn, "GET /engine.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"+
		"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\nsmuggled")
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	read, _ := io.ReadAll(conn)
	want(t, "answer", string(read), "")
	want(t, "sessions", s.server.Len(), 0) // and Shutdown does not wait for it
}

func TestSlowPost(t *testing.T) {
	t.Parallel()
	onFakeClock(t, options{}, func(t *testing.T, s *stage) {
		id, o := s.openPolling()
		conn, err := s.dialer.NetDialContext(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		start := time.Now()
		answered := make(chan error, 1)
		go func() { // ends with the connection
			_, err := io.Copy(io.Discard, conn)
			answered <- err
		}()
		fmt.Fprintf(conn, "POST /engine.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n4", id)
		<-o.closed // the ping and the body are due at the same time
		<-answered
		if after := time.Since(start); after > 46*time.Second {
			t.Errorf("held for %s", after)
		}
	})
}

func TestCrossSiteHijack(t *testing.T) {
	t.Parallel()
	const allowed = "https://app.test"
	s := setup(t, options{configure: func(cfg *engineio.Config) {
		cfg.AllowRequest = func(r *http.Request) bool { return r.Header.Get("Origin") == allowed }
	}})
	for origin, status := range map[string]int{allowed: 101, "https://evil.test": 403, "null": 403, "": 403, "https://app.test.evil.test": 403} {
		header := http.Header{}
		if origin != "" {
			header.Set("Origin", origin)
		}
		conn, response, err := s.dialer.Dial(s.url("ws", "EIO=4&transport=websocket"), header)
		if err == nil {
			_ = conn.Close()
		}
		want(t, "origin "+origin, response.StatusCode, status)
	}
}

// A handshake whose headers are large is refused before anything of it is kept, and
// of the others only what is used is kept.
func TestKeptHeadersAreBounded(t *testing.T) {
	t.Parallel()
	if kept := engineio.DefaultConfig().KeepHeaders; slices.Contains(kept, "Cookie") || slices.Contains(kept, "User-Agent") {
		t.Errorf("kept are %v", kept)
	}
	s := setup(t, options{})
	for _, test := range []struct {
		header string
		size   int
		status int
	}{
		{"Authorization", 4 << 10, http.StatusOK},
		{"Authorization", 9 << 10, http.StatusRequestHeaderFieldsTooLarge},
		{"Cookie", 9 << 10, http.StatusOK},
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.address+"/engine.io/?EIO=4&transport=polling", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set(test.header, strings.Repeat("x", test.size))
		response, err := s.client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		want(t, fmt.Sprintf("status of %d bytes of %s", test.size, test.header), response.StatusCode, test.status)
	}
}
