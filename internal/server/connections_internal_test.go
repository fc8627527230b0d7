package server

import (
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func TestConnectionBound(t *testing.T) {
	t.Parallel()
	tests := []struct {
		limit uint64
		inUse int
		want  int
	}{
		{limit: 64, inUse: 30, want: minConnections},
		{limit: 300, inUse: 20, want: 205},
		{limit: 1024, inUse: 24, want: 744},
		{limit: 1 << 20, inUse: 0, want: 1<<20 - maxReservedFiles},
		{limit: 1<<64 - 1, inUse: 9, want: 1 << 30}, // no limit
	}
	for _, test := range tests {
		if got := connectionBound(test.limit, test.inUse); got != test.want {
			t.Errorf("of %d files, %d in use: %d connections, want %d", test.limit, test.inUse, got, test.want)
		}
	}
}

// A client that reads nothing is not given much before its answer waits, however much
// the system would take.
func TestUnreadAnswersWaitSoon(t *testing.T) {
	t.Parallel()
	open, err := newConnections(slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener := open.bounded(plain, 0, 0)
	t.Cleanup(func() { _ = listener.Close() })
	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	// What is written is taken by the system, so that it takes no time.
	written, piece := 0, make([]byte, 64<<10)
	for err == nil {
		_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
		var n int
		n, err = conn.Write(piece)
		written += n
	}
	// The client's side takes its share as well.
	if most := 4 * maxUnreadSocketBytes; written > most {
		t.Errorf("%d bytes were written to a client that reads nothing, want at most %d", written, most)
	}
}
