package main

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what should happen at once, on a machine that is busy.
const patience = time.Minute

func TestRunAnswersAsTheSuitesExpect(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, listener, slog.New(slog.DiscardHandler)) }() // ends with ctx

	for _, test := range []struct {
		path  string
		steps []string // "> " is sent, "< " is read
	}{
		{"/engine.io/", []string{"< 0", "> 4hello", "< 4hello"}},
		{"/socket.io/", []string{
			"< 0", `> 40{"token":"1"}`, "< 40", `< 42["auth",{"token":"1"}]`,
			`> 42["message",1,"2",{"3":[true]}]`, `< 42["message-back",1,"2",{"3":[true]}]`,
			`> 42456["message-with-ack",1]`, `< 43456[1]`,
			"> 40/custom,", "< 40/custom,", `< 42/custom,["auth",{}]`,
			"> 40/random,", `< 44/random,{"message":"Invalid namespace"}`,
		}},
	} {
		conn, _, err := websocket.DefaultDialer.Dial("ws://"+listener.Addr().String()+test.path+"?EIO=4&transport=websocket", nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range test.steps {
			direction, text, _ := strings.Cut(step, " ")
			if direction == ">" {
				if err := conn.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
					t.Fatal(err)
				}
				continue
			}
			if got := read(t, conn); !strings.HasPrefix(got, text) {
				t.Errorf("%s: read %q, want %q", test.path, got, text)
			}
		}
		_ = conn.Close()
	}
	stop()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Fatal("run does not end")
	}
}

// read returns the next message but pings.
func read(t *testing.T, conn *websocket.Conn) string {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	for {
		_, data, err := conn.ReadMessage()
		if err != nil {
			t.Fatal(err)
		}
		if string(data) != "2" {
			return string(data)
		}
		if err := conn.WriteMessage(websocket.TextMessage, []byte("3")); err != nil {
			t.Fatal(err)
		}
	}
}
