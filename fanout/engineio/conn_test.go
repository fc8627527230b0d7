package engineio_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/letswriteabook/realtime/fanout/engineio"
)

// Frames that wait are written together.
func TestFramesAreCoalesced(t *testing.T) {
	t.Parallel()
	onFakeClock(t, options{}, func(t *testing.T, s *stage) {
		p, o := s.openWebSocket()
		before := counter(t, s, "realtime_engineio_writes_total")
		const total = 500
		frame := engineio.TextMessage(bytes.Repeat([]byte("x"), 330))
		for range total { // in memory a write waits for its reader: all but one wait
			if err := o.session.Send(frame); err != nil {
				t.Fatal(err)
			}
		}
		for range total {
			want(t, "frame", p.read2(t), string(frame.Data))
		}
		// 500 frames of 335 bytes are eleven writes of 16 KB, and the first.
		if writes := counter(t, s, "realtime_engineio_writes_total") - before; writes > 13 {
			t.Errorf("%v writes for %d frames", writes, total)
		}
	})
}

func TestStalledClientIsCut(t *testing.T) {
	t.Parallel()
	onFakeClock(t, options{}, func(t *testing.T, s *stage) {
		_, o := s.openWebSocket()
		start := time.Now()
		_ = o.session.Send(engineio.TextMessage([]byte("never read")))
		<-o.closed
		if after := time.Since(start); after < 10*time.Second || after > 12500*time.Millisecond {
			t.Errorf("cut after %s", after)
		}
	})
}

func TestSlowClientIsKept(t *testing.T) {
	t.Parallel()
	onFakeClock(t, options{}, func(t *testing.T, s *stage) {
		p, o := s.openWebSocket()
		_ = p.SetReadDeadline(time.Time{})
		text := bytes.Repeat([]byte("slow"), 30)
		_ = o.session.Send(engineio.TextMessage(text))
		frame := make([]byte, 2+1+len(text))
		for i := range frame { // a byte every nine seconds: 18 minutes
			time.Sleep(9 * time.Second)
			if _, err := io.ReadFull(p.NetConn(), frame[i:i+1]); err != nil {
				t.Fatal(err)
			}
			p.send("4alive") // the pings wait behind the frame
			<-o.messages
		}
		want(t, "frame", string(frame[2:]), "4"+string(text))
		want(t, "ping", p.read2(t), "2")
	})
}

func TestSlowPollerIsKept(t *testing.T) {
	t.Parallel()
	onFakeClock(t, options{configure: func(cfg *engineio.Config) {
		cfg.PingInterval = time.Hour // the client only reads
	}}, func(t *testing.T, s *stage) {
		id, o := s.openPolling()
		_ = o.session.Send(engineio.TextMessage(make([]byte, 200<<10)))
		conn, err := s.dialer.NetDialContext(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "GET /engine.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nHost: x\r\n\r\n", id)
		for range 50 { // 4 KB a second
			time.Sleep(time.Second)
			if _, err := io.CopyN(io.Discard, conn, 4<<10); err != nil {
				t.Fatal(err)
			}
		}
		want(t, "open", o.session.Open(), true)
		<-o.closed // now it has stopped reading
	})
}

// On TLS a write that timed out cannot be continued, but all else is the same.
func TestTLS(t *testing.T) {
	t.Parallel()
	s := setup(t, options{react: echo})
	secure := httptest.NewTLSServer(s.server)
	defer secure.Close()
	pool := x509.NewCertPool()
	pool.AddCert(secure.Certificate())
	dialer := websocket.Dialer{TLSClientConfig: &tls.Config{RootCAs: pool}}
	conn, _, err := dialer.Dial("wss"+strings.TrimPrefix(secure.URL, "https")+"/engine.io/?EIO=4&transport=websocket", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	p, o := peer{conn, t}, s.next()
	openID(t, p.read())
	for i := range 500 {
		_ = o.session.Send(engineio.TextMessage(fmt.Append(nil, i)))
	}
	for i := range 500 {
		want(t, "frame", p.read(), fmt.Sprintf("4%d", i))
	}
	o.session.Close("enough")
	want(t, "close code", p.expectClosed(), websocket.CloseNormalClosure)
	want(t, "reason", receive(t, o.closed, "close"), "enough")
}
