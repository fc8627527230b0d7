package engineio_test

import (
	"bufio"
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/letswriteabook/realtime/fanout/engineio"
)

func compressing(cfg *engineio.Config) { cfg.Compression = true }

// handshake opens a WebSocket with an offer of extensions, and returns the connection after
// the answer, and the extensions of the answer.
func handshake(t *testing.T, s *stage, offer string) (net.Conn, *bufio.Reader, string) {
	t.Helper()
	conn := rawConn(t, s)
	_ = conn.SetDeadline(time.Now().Add(patience))
	_, _ = io.WriteString(conn, "GET /engine.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"+offer+"\r\n")
	reader := bufio.NewReader(conn)
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	return conn, reader, response.Header.Get("Sec-Websocket-Extensions")
}

func TestCompressionIsNegotiated(t *testing.T) {
	t.Parallel()
	const accepted = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
	on, off := setup(t, options{configure: compressing}), setup(t, options{})
	for offer, wanted := range map[string]string{
		"":                   "",
		"permessage-deflate": accepted,
		"permessage-deflate; client_max_window_bits":                                                           accepted,
		"permessage-deflate; client_max_window_bits=10; server_no_context_takeover;client_no_context_takeover": accepted,
		`permessage-deflate; client_max_window_bits="15"`:                                                      accepted,
		"permessage-deflate; server_max_window_bits=10":                                                        "",
		"permessage-deflate; server_max_window_bits=10, permessage-deflate":                                    accepted,
		"permessage-deflate; client_max_window_bits=16":                                                        "",
		"permessage-deflate; client_max_window_bits; client_max_window_bits":                                   "",
		"permessage-deflate; server_no_context_takeover=1":                                                     "",
		"permessage-deflate; of_a_later_version":                                                               "",
		"x-webkit-deflate-frame":                                                                               "",
	} {
		header := "Sec-WebSocket-Extensions: " + offer + "\r\n"
		_, _, got := handshake(t, on, header)
		want(t, "the answer to "+offer, got, wanted)
		o := on.next()
		want(t, "Deflates after "+offer, o.session.Deflates(), wanted != "")
		_, _, got = handshake(t, off, header)
		want(t, "the answer without compression to "+offer, got, "")
		want(t, "Deflates without compression", off.next().session.Deflates(), false)
	}
}

// deflated returns the frame of a text whose rest is not compressed.
func deflated(t *testing.T, text string, rest int) engineio.Frame {
	t.Helper()
	beginning, err := engineio.DeflateStart([]byte("4" + text[:len(text)-rest]))
	if err != nil {
		t.Fatal(err)
	}
	return engineio.DeflateEnd(beginning, []byte(text[len(text)-rest:]))
}

// TestCompressedFramesBesideOthers: compressed messages, small and large, leave in one write
// with others and with pongs, in order.
func TestCompressedFramesBesideOthers(t *testing.T) {
	t.Parallel()
	s := setup(t, options{configure: func(cfg *engineio.Config) { cfg.Compression = true; cfg.QueueBytes = 32 << 20 }})
	s.dialer.EnableCompression = true
	p, o := s.openWebSocket()
	type pair struct {
		text  string
		frame engineio.Frame
	}
	var pairs []pair
	for i, size := range []int{1, 20, 100} { // kB; the last two have a rest of several stored blocks
		text := strings.Repeat(`{"text":"of some length"}`, size*40)
		pairs = append(pairs, pair{text, deflated(t, text, 0)}, pair{text, deflated(t, text, i*45_000%len(text))})
	}
	if err := p.WriteControl(websocket.PingMessage, []byte("?"), time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	var wanted []string
	for i := range 60 {
		small := fmt.Sprint("small ", i)
		wanted = append(wanted, pairs[i%len(pairs)].text, small, pairs[(i+1)%len(pairs)].text)
		o.session.Offer(pairs[i%len(pairs)].frame)
		o.session.Offer(engineio.TextMessage([]byte(small)))
		o.session.Offer(engineio.TextMessage([]byte(pairs[(i+1)%len(pairs)].text)))
	}
	for i, text := range wanted {
		if got := p.read(); got != "4"+text {
			t.Fatalf("message %d of %d bytes, want %d: %.60q", i, len(got), len(text)+1, got)
		}
	}
}

// TestCompressedMessagesAreRead: whole and in fragments, beside others, and of a client that
// upgrades from polling.
func TestCompressedMessagesAreRead(t *testing.T) {
	t.Parallel()
	s := setup(t, options{configure: compressing})
	s.dialer.EnableCompression = true
	id, o := s.openPolling()
	want(t, "Deflates over polling", o.session.Deflates(), false)
	p := s.dial(id) // this client compresses everything
	p.send("2probe")
	want(t, "probe", p.read(), "3probe")
	p.send("5")
	for i := range 50 {
		p.EnableWriteCompression(i%3 > 0)
		text := strings.Repeat(fmt.Sprint(i, " text "), 1+i*100)
		p.send("4" + text)
		want(t, "message", receive(t, o.messages, "message"), text)
		writer, err := p.NextWriter(websocket.BinaryMessage)
		if err != nil {
			t.Fatal(err)
		}
		for part := range strings.Lines(strings.ReplaceAll(text, " ", "\n")) {
			_, _ = io.WriteString(writer, part)
		}
		if err := writer.Close(); err != nil {
			t.Fatal(err)
		}
		want(t, "binary message", receive(t, o.messages, "message"), "b:"+strings.ReplaceAll(text, " ", "\n"))
	}
	want(t, "Deflates after the upgrade", o.session.Deflates(), true)
}

// byteMeter is an Intake without a limit.
type byteMeter struct{ bytes atomic.Int64 }

func (m *byteMeter) Spend(bytes int) time.Duration { m.bytes.Add(int64(bytes)); return 0 }
func (m *byteMeter) End()                          {}

// TestCompressedMessagesAreBounded: of a message that is too large once it is decompressed,
// no more is decompressed than of others, and the client is charged for that.
func TestCompressedMessagesAreBounded(t *testing.T) {
	t.Parallel()
	meter := &byteMeter{}
	s := setup(t, options{configure: func(cfg *engineio.Config) {
		compressing(cfg)
		cutAt(cfg)
		cfg.NewIntake = func(*http.Request) engineio.Intake { return meter }
	}})
	s.dialer.EnableCompression = true
	p, o := s.openWebSocket()
	for range 3 {
		before := meter.bytes.Load()
		p.send("4" + strings.Repeat("x", 3_000_000)) // 3.6 kB on the wire
		want(t, "message", receive(t, o.messages, "message"), fmt.Sprintf("4001 bytes from %d", engineio.HeadBytes-1))
		p.send("4" + strings.Repeat("y", 3998))
		want(t, "length", len(receive(t, o.messages, "message")), 3998)
		if charged := meter.bytes.Load() - before; charged < 2*3999 {
			t.Errorf("%d bytes charged for the messages", charged)
		}
	}
	p.send("4" + strings.Repeat("z", 6_000_000)) // 7 kB on the wire, of which only the beginning is kept
	if got := receive(t, o.messages, "message"); !strings.HasSuffix(got, fmt.Sprintf(" bytes from %d", engineio.HeadBytes-1)) {
		t.Errorf("message %q", got)
	}
	p.send("4after")
	want(t, "message", receive(t, o.messages, "message"), "after")

	whole := setup(t, options{configure: compressing})
	whole.dialer.EnableCompression = true
	p, o = whole.openWebSocket()
	p.send("4" + strings.Repeat("x", 999_999))
	want(t, "length", len(receive(t, o.messages, "message")), 999_999)
	p.send("4" + strings.Repeat("x", 1_000_000))
	want(t, "close code", p.expectClosed(), websocket.CloseMessageTooBig)
	want(t, "reason", receive(t, o.closed, "close"), engineio.ReasonTransportError)
}

// TestMalformedCompression: what cannot be decompressed ends the connection.
func TestMalformedCompression(t *testing.T) {
	t.Parallel()
	s := setup(t, options{configure: compressing})
	for name, test := range map[string]struct {
		offer  string
		frames []byte
		code   int // 0: the connection ends without a close frame
	}{
		"no deflate":          {"permessage-deflate", appendFrame(nil, 0xc1, 0, []byte("no deflate")), websocket.CloseInvalidFramePayloadData},
		"a control frame":     {"permessage-deflate", appendFrame(nil, 0xc9, 0, []byte("ping")), 0},
		"a continuation":      {"permessage-deflate", appendFrame(appendFrame(nil, 0x01, 0, []byte("4")), 0xc0, 0, []byte("x")), 0},
		"nothing negotiated":  {"", appendFrame(nil, 0xc1, 0, []byte("4x")), websocket.CloseProtocolError},
		"another bit as well": {"permessage-deflate", appendFrame(nil, 0xe1, 0, []byte("4x")), websocket.CloseProtocolError},
	} {
		conn, reader, _ := handshake(t, s, "Sec-WebSocket-Extensions: "+test.offer+"\r\n")
		o := s.next()
		if _, err := conn.Write(test.frames); err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(reader)
		if err != nil && test.code != 0 {
			t.Errorf("%s: %v", name, err)
		}
		closing := []byte{byte(test.code >> 8), byte(test.code)}
		if test.code != 0 && !bytes.Contains(answer, closing) {
			t.Errorf("%s: no close code %d in the answer %q", name, test.code, answer)
		}
		_ = conn.Close()
		want(t, name, receive(t, o.closed, "close"), engineio.ReasonTransportError)
	}
}

// FuzzInflate: whatever a client sends decompresses to what the standard library makes of
// it, or fails, and never to more than the bound and one byte.
func FuzzInflate(f *testing.F) {
	start, err := engineio.DeflateStart(bytes.Repeat([]byte("some text "), 500))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(start, uint16(100))
	f.Add(engineio.DeflateEnd(start, []byte("and a rest")).Data, uint16(6000))
	f.Add([]byte{}, uint16(0))
	f.Add([]byte{0, 1}, uint16(9))
	f.Fuzz(func(t *testing.T, data []byte, most uint16) {
		got, err := engineio.Inflate(data, int(most))
		if len(got) > int(most)+1 {
			t.Fatalf("%d bytes, the bound is %d", len(got), most)
		}
		if err != nil {
			return
		}
		tail := "\x00\x00\xff\xff\x01\x00\x00\xff\xff"
		plain, err := io.ReadAll(io.LimitReader(flate.NewReader(io.MultiReader(bytes.NewReader(data), strings.NewReader(tail))), int64(most)+1))
		if err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("%q, the standard library makes %q of it (%v)", got, plain, err)
		}
	})
}
