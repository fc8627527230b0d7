package server

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Connections beyond the bound are served as long as they ask for operators' pages, and
// make room for each other; one that finds a place within the bound is an ordinary one.
// In the end nothing is counted any more.
func TestSpareConnections(t *testing.T) {
	t.Parallel()
	const most, spare = 2, 3
	open, err := newConnections(slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener := open.bounded(plain, most, spare).(*boundedListener)
	server := &http.Server{
		ConnContext: withConnection,
		Handler: open.sparing(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, r.URL.Path)
		})),
	}
	serving := make(chan error, 1)
	go func() { serving <- server.Serve(listener) }() // ended by Close
	t.Cleanup(func() {
		_ = server.Close()
		<-serving
	})
	dial := func(last byte) net.Conn {
		t.Helper()
		dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, last)}}
		conn, err := dialer.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	settled := func(what string, within, waiting int) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
			listener.mu.Lock()
			got := [3]int{int(listener.open.Load()), len(listener.waiting), listener.answering}
			listener.mu.Unlock()
			if got == [3]int{within, waiting, 0} && int(open.open.Load()) == within+waiting {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: within the bound, waiting and answering are %v, and all %d; want %d, %d and 0", what, got, open.open.Load(), within, waiting)
			}
		}
	}
	ask := func(path string) string {
		t.Helper()
		client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
		request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+listener.Addr().String()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, _ := io.ReadAll(response.Body)
		return fmt.Sprint(response.StatusCode, " ", string(body))
	}

	first, second := dial(2), dial(2)
	settled("the bound is used up", most, 0)
	alone := dial(3)
	settled("one spare connection", most, 1)
	var crowd []net.Conn
	for range 4 * spare {
		crowd = append(crowd, dial(2))
	}
	settled("the spare ones are used up", most, spare)
	for range 3 {
		if got := ask("/health"); got != "200 /health" {
			t.Errorf("health answers %q", got)
		}
		if got := ask("/"); got[:3] != "503" {
			t.Errorf("another page answers %q", got)
		}
	}
	_ = first.Close()
	settled("a place within the bound is free", most-1, spare-1)
	_, _ = io.WriteString(alone, "GET /page HTTP/1.1\r\nHost: x\r\n\r\n")
	_ = alone.SetReadDeadline(time.Now().Add(10 * time.Second))
	answer := make([]byte, len("HTTP/1.1 200"))
	if _, err := io.ReadFull(alone, answer); err != nil || string(answer) != "HTTP/1.1 200" {
		t.Errorf("the connection of the other address is answered %q, %v", answer, err)
	}
	for _, conn := range append(crowd, second, alone) {
		_ = conn.Close()
	}
	settled("all are closed", 0, 0)
}
