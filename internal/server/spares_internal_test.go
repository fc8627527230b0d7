package server

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/guardrails"
)

// Connections beyond the bound are served as long as they ask for operators' pages, and
// make room for each other; one that finds a place within the bound is an ordinary one.
// In the end nothing is counted any more.
func TestSpareConnections(t *testing.T) {
	t.Parallel()
	const most, spare = 2, 12
	listener, dial := serveSpares(t, most, spare, func(next http.Handler) http.Handler { return next })
	open := listener.among
	settled := func(what string, within, waiting int) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
			unasked, asked := spareCounts(listener)
			got := [3]int{int(listener.open.Load()), unasked, asked}
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
		client := http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
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
	_ = alone.SetReadDeadline(time.Now().Add(time.Minute))
	answer := make([]byte, len("HTTP/1.1 200"))
	if _, err := io.ReadFull(alone, answer); err != nil || string(answer) != "HTTP/1.1 200" {
		t.Errorf("the connection of the other address is answered %q, %v", answer, err)
	}
	for _, conn := range append(crowd, second, alone) {
		_ = conn.Close()
	}
	settled("all are closed", 0, 0)
}

// serveSpares serves a path as its own answer on a port with spare connections, and
// returns the listener and what connects to it from an address of this machine. A path
// that ends in "/held" is answered when the test ends, or its client goes.
func serveSpares(t *testing.T, most, spare int, outer func(http.Handler) http.Handler) (*boundedListener, func(last byte) net.Conn) {
	t.Helper()
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
		Handler: outer(open.sparing(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/held") {
				select {
				case <-t.Context().Done():
				case <-r.Context().Done():
				}
			}
			_, _ = io.WriteString(w, r.URL.Path)
		}))),
	}
	serving := make(chan error, 1)
	go func() { serving <- server.Serve(listener) }() // ended by Close
	t.Cleanup(func() {
		_ = server.Close()
		<-serving
	})
	return listener, func(last byte) net.Conn {
		t.Helper()
		dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, last)}}
		conn, err := dialer.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		_ = conn.SetDeadline(time.Now().Add(time.Minute))
		return conn
	}
}

// requestOn sends a request.
func requestOn(t *testing.T, conn net.Conn, path string) {
	t.Helper()
	if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
}

// answeredOn returns all that a connection is sent until it is closed.
func answeredOn(conn net.Conn) string {
	text, _ := io.ReadAll(conn) // an end without an answer is an empty one
	return string(text)
}

// spareCounts returns how many spare connections wait for their request, and how many have
// brought it.
func spareCounts(listener *boundedListener) (waiting, asked int) {
	listener.mu.Lock()
	defer listener.mu.Unlock()
	for _, conn := range listener.held {
		if conn.asked.IsZero() {
			waiting++
		} else {
			asked++
		}
	}
	return waiting, asked
}

// untilHeld waits until so many spare connections wait for their request, and so many have
// brought it.
func untilHeld(t *testing.T, listener *boundedListener, wantWaiting, wantAsked int) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		waiting, asked := spareCounts(listener)
		if waiting == wantWaiting && asked == wantAsked {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d wait and %d have asked, want %d and %d", waiting, asked, wantWaiting, wantAsked)
		}
	}
}

// A connection whose request was handled is not closed before its answer has been written,
// however many others of its address come meanwhile.
func TestSpareConnectionsAreAnsweredToTheEnd(t *testing.T) {
	t.Parallel()
	handled, write := make(chan struct{}), make(chan struct{})
	listener, dial := serveSpares(t, 1, 2, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r) // the server writes after this handler has returned
			if r.URL.Path == "/health/slow" {
				close(handled)
				<-write
			}
		})
	})
	dial(2) // uses up the bound
	slow := dial(3)
	requestOn(t, slow, "/health/slow")
	<-handled
	for range 6 {
		dial(3)
	}
	untilHeld(t, listener, 2, 0)
	close(write)
	if got := answeredOn(slow); !strings.HasSuffix(got, "/health/slow") {
		t.Errorf("answered %q", got)
	}
}

// An address whose requests hold all spare connections makes room for other addresses, and
// for none of its own.
func TestSpareConnectionsBeingAnsweredAreShared(t *testing.T) {
	t.Parallel()
	const spare = 3
	listener, dial := serveSpares(t, 1, spare, func(next http.Handler) http.Handler { return next })
	dial(2) // uses up the bound
	for i := range spare {
		requestOn(t, dial(3), "/health/held")
		untilHeld(t, listener, 0, i+1)
	}
	if got := answeredOn(dial(3)); got != "" {
		t.Errorf("one more of the address is answered %q", got)
	}
	operator := dial(4)
	requestOn(t, operator, "/health")
	if got := answeredOn(operator); !strings.HasSuffix(got, "/health") {
		t.Errorf("another address is answered %q", got)
	}
}

// Which connection gives way: of the address, or IPv6 /64, that has the most.
func TestYieldingSpareConnections(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_000, 0)
	type held struct {
		address string
		asked   time.Duration // ago; 0: it waits for its request
	}
	const second = time.Second
	tests := []struct {
		name     string
		held     []held
		newcomer string
		want     int
	}{
		{"the oldest that waits", []held{{"192.0.2.1", second}, {"192.0.2.1", 0}, {"192.0.2.1", 0}}, "192.0.2.2", 1},
		{"the longest answered", []held{{"192.0.2.1", second}, {"192.0.2.1", 2 * second}}, "192.0.2.2", 1},
		{"none of its own while they are answered", []held{{"192.0.2.1", second}, {"192.0.2.1", 2 * second}}, "192.0.2.1", -1},
		{"its own after long", []held{{"192.0.2.1", second}, {"192.0.2.1", spareAnswerTime}}, "192.0.2.1", 1},
		{"its own that waits, not that of another", []held{{"192.0.2.2", 0}, {"192.0.2.1", second}, {"192.0.2.1", 0}}, "192.0.2.1", 2},
		{"not that of another which waits alone", []held{{"192.0.2.2", 0}, {"192.0.2.1", second}, {"192.0.2.1", second}}, "192.0.2.1", -1},
		{"of addresses with one each", []held{{"192.0.2.2", second}, {"192.0.2.1", 0}}, "192.0.2.3", 1},
		{"a /64 is one address", []held{{"192.0.2.1", 0}, {"2001:db8::1", 0}, {"2001:db8::2", 0}}, "192.0.2.3", 1},
		{"a /64 of its own", []held{{"192.0.2.1", 0}, {"2001:db8::1", second}, {"2001:db8::2", second}}, "2001:db8::3", -1},
	}
	for _, test := range tests {
		s := &spares{places: len(test.held)}
		for _, h := range test.held {
			conn := &countedConn{owner: guardrails.CountedAddress(netip.MustParseAddr(h.address))}
			if h.asked > 0 {
				conn.asked = now.Add(-h.asked)
			}
			s.held = append(s.held, conn)
		}
		if got := s.yielding(guardrails.CountedAddress(netip.MustParseAddr(test.newcomer)), now); got != test.want {
			t.Errorf("%s: place %d gives way, want %d", test.name, got, test.want)
		}
	}
}
