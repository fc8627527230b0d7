package e2e_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/internal/testkit"
)

// neverArriving are the heads of requests whose body never arrives, on every path of a
// gateway and on none, with and without Expect. %s is the id of a polling session.
func neverArriving() map[string]string {
	heads := map[string]string{}
	for _, target := range []string{
		"POST /api/realtime/events", "POST /ws/?EIO=4&transport=polling&sid=%s", "POST /ws/?EIO=4&transport=polling", "PUT /ws/",
		"GET /ws/?EIO=4&transport=polling&sid=none", "POST /nowhere", "GET /nowhere", "HEAD /nowhere", "DELETE /", "POST /health", "GET /health/live",
		"HEAD /health", "GET /metrics", "GET /internal/realtime/metrics", "GET /api/novel/job/events", "OPTIONS /api/novel/job/events",
		"POST /api/novel/job/events", "OPTIONS /ws/?EIO=4&transport=polling",
	} {
		const common = " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
		heads[target+", with a length"] = target + common + "Content-Length: 1000\r\n\r\n{"
		heads[target+", chunked"] = target + common + "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"
		heads[target+", expecting"] = target + common + "Expect: 100-continue\r\nContent-Length: 1000\r\n\r\n"
	}
	return heads
}

// A body that never arrives holds its connection for as long as bodies have, on every
// path; streams, polls and sockets live on.
func TestBodiesThatNeverArrive(t *testing.T) {
	t.Parallel()
	g := startGateway(t, settings{"HTTP_BODY_TIMEOUT": "4s", "SOCKET_HANDSHAKE_TIMEOUT": "4s"}) // which the sessions of the test have to keep
	socket := dialTransport(t, g)
	_ = socket.SetReadDeadline(time.Time{})
	say(t, socket, "40")
	for !strings.HasPrefix(hear(t, socket), "40") {
	}
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, g.url("/api/realtime/jobs/job/stream"), nil)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	events := bufio.NewScanner(stream.Body)
	polling := openPolling(t, g)
	if got := g.get(poll(polling)); !strings.HasPrefix(got, "40") { // the namespace that openPolling asked for
		t.Fatalf("the first poll brings %q", got)
	}
	waiting := make(chan string, 1)
	go func() { // ends with the answer, or with the gateway
		response, err := http.Get(g.url(poll(polling)))
		if err != nil {
			waiting <- err.Error()
			return
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		waiting <- fmt.Sprint(string(body), err)
	}()

	var held sync.WaitGroup
	began := time.Now()
	for name, head := range neverArriving() {
		if strings.Contains(head, "%s") {
			head = fmt.Sprintf(head, openPolling(t, g))
		}
		held.Go(func() { // ends with its connection
			conn, err := net.Dial("tcp", g.address())
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			if _, err := io.WriteString(conn, head); err != nil {
				t.Error(err)
				return
			}
			_ = conn.SetReadDeadline(time.Now().Add(patience))
			if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s: the connection is open after %s", name, patience)
			}
		})
	}
	held.Wait()
	t.Logf("all connections had ended after %s", time.Since(began).Round(time.Millisecond))

	if status := publish(t, g.address(), "Host: localhost"); status != http.StatusCreated {
		t.Errorf("publishing answers %d", status)
	}
	for !strings.HasPrefix(events.Text(), "event: novel.domain-event") {
		if !events.Scan() {
			t.Fatalf("the stream ended: %v", events.Err())
		}
	}
	say(t, socket, `42["ping"]`)
	for !strings.HasPrefix(hear(t, socket), `42["pong"`) {
	}
	response, err := http.Post(g.url(poll(polling)), "text/plain;charset=UTF-8", strings.NewReader(`42["ping"]`))
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	select {
	case got := <-waiting:
		if !strings.Contains(got, `42["pong"`) {
			t.Errorf("the waiting poll brings %q", got)
		}
	case <-time.After(patience):
		t.Error("the waiting poll brings nothing")
	}
}

// openPolling returns the id of a session over polling that asks for its namespace.
func openPolling(t *testing.T, g *gateway) string {
	t.Helper()
	open := g.get("/ws/?EIO=4&transport=polling")
	_, rest, _ := strings.Cut(open, `"sid":"`)
	id, _, found := strings.Cut(rest, `"`)
	if !found {
		t.Fatalf("the handshake brings %q", open)
	}
	response, err := http.Post(g.url(poll(id)), "text/plain;charset=UTF-8", strings.NewReader("40"))
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	return id
}

func poll(id string) string { return "/ws/?EIO=4&transport=polling&sid=" + id }

// Under a low limit of open files the connections of a crowd leave enough for the log, for
// operators and for the clients that are there already, and the gateway takes new ones as
// soon as the crowd's time is up.
func TestReserveOfFiles(t *testing.T) {
	t.Parallel()
	const limit, crowd = 300, 400
	testkit.Program(t, "sh")
	env := settings{
		"DATA_DIR": t.TempDir(), "DRAIN_SECONDS": "0", "ADMIN_ADDR": "127.0.0.1:0", "INTERNAL_TOKEN": operatorsToken,
		"HTTP_BODY_TIMEOUT": "10s", "SOCKET_HANDSHAKE_TIMEOUT": "10s", // in which the whole crowd has to come
	}
	g := startServer(t, env, "sh", "-c", fmt.Sprintf(`ulimit -n %d && exec "$0" serve`, limit), build(t, "realtime"))
	admin, found := g.output.find(adminAddress)
	if !found {
		t.Fatal("the gateway does not say where its operators' pages are")
	}
	producer := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}}
	defer producer.CloseIdleConnections()
	send := func() {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.url("/api/realtime/events"),
			strings.NewReader(`{"kind":"domain","jobId":"job","event":{"type":"t","occurredAt":"o"}}`))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Authorization", "Bearer "+operatorsToken)
		response, err := producer.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if _, _ = io.Copy(io.Discard, response.Body); response.StatusCode != http.StatusCreated {
			t.Errorf("publishing answers %s", response.Status)
		}
	}
	send()
	var conns []net.Conn
	defer func() {
		for _, conn := range conns {
			_ = conn.Close()
		}
	}()
	for range crowd {
		conn, err := net.Dial("tcp", g.address())
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
		// Fails where the gateway has closed it already.
		_, _ = io.WriteString(conn, "POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n")
	}
	// The gateway may not have taken every connection out of the queue of the kernel yet.
	var refused float64
	eventually(t, "connections are refused", func() error {
		if refused = figure(t, admin, "realtime_app_connections_refused_total"); refused < crowd-limit {
			return fmt.Errorf("%v of %d connections were refused", refused, crowd)
		}
		return nil
	})
	t.Logf("of %d connections under a limit of %d files %v were closed at once; %v are open, with %v files",
		crowd, limit, refused, figure(t, admin, "realtime_app_connections"), figure(t, admin, "process_open_fds"))
	if refused >= crowd {
		t.Errorf("all %v connections were refused", refused)
	}
	for range 3 {
		send()
	}
	eventually(t, "new clients are served", func() error {
		response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get(g.url("/health/live"))
		if err != nil {
			return err
		}
		return response.Body.Close()
	})
	eventually(t, "the crowd's connections are closed", func() error {
		if open := figure(t, admin, "realtime_app_connections"); open > 8 {
			return fmt.Errorf("%v connections are open", open)
		}
		return nil
	})
}

// Where there is no ADMIN_ADDR, strangers may hold every connection of the public port,
// and open more without a pause: health and the operators' pages answer, and clients are
// told to come back, each on a new connection.
func TestOperatorsAreServedWhileStrangersHoldThePort(t *testing.T) {
	t.Parallel()
	const limit, crowd = 300, 400
	testkit.Program(t, "sh")
	env := settings{"DATA_DIR": t.TempDir(), "DRAIN_SECONDS": "0", "INTERNAL_TOKEN": operatorsToken, "HTTP_BODY_TIMEOUT": "5m", "SOCKET_HANDSHAKE_TIMEOUT": "1m"}
	g := startServer(t, env, "sh", "-c", fmt.Sprintf(`ulimit -n %d && exec "$0" serve`, limit), build(t, "realtime"))

	stranger := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	const unfinished = "POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"
	hold := func(text string) net.Conn {
		conn, err := stranger.DialContext(t.Context(), "tcp", g.address())
		if err != nil {
			return nil // the queue of the system is full for a moment, or the test has ended
		}
		_, _ = io.WriteString(conn, text) // fails where the gateway has closed it already
		return conn
	}
	var conns []net.Conn
	for range crowd {
		if conn := hold(unfinished); conn != nil {
			conns = append(conns, conn)
		}
	}
	stop := make(chan struct{})
	var flood sync.WaitGroup
	t.Cleanup(func() {
		close(stop)
		flood.Wait()
		for _, conn := range conns {
			_ = conn.Close()
		}
	})
	var opened atomic.Int64
	for i := range 4 {
		flood.Go(func() { // ends with stop; each holds 16 connections
			var held [16]net.Conn
			texts := []string{"", unfinished, "GET /metrics HTTP/1.1\r\nHost: x\r\n", "GET /ws/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\n"}
			for n := i; ; n++ {
				select {
				case <-stop:
					for _, conn := range held {
						if conn != nil {
							_ = conn.Close()
						}
					}
					return
				default:
				}
				if old := held[n%len(held)]; old != nil {
					_ = old.Close()
				}
				held[n%len(held)] = hold(texts[n%len(texts)])
				opened.Add(1)
			}
		})
	}
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	ask := func(path string) (int, error) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.url(path), nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+operatorsToken)
		response, err := client.Do(request)
		if err != nil {
			return 0, err
		}
		_, err = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		return response.StatusCode, err
	}
	for range 20 {
		for _, path := range []string{"/health", "/health/ready", "/metrics", "/internal/realtime/metrics"} {
			if status, err := ask(path); status != http.StatusOK || err != nil {
				t.Errorf("%s answers %d, %v", path, status, err)
			}
		}
	}
	if status, err := ask("/api/novel/job/events"); status != http.StatusServiceUnavailable || err != nil {
		t.Errorf("a page of history answers %d, %v", status, err)
	}
	t.Logf("%d connections were opened beside %d", opened.Load(), len(conns))
}

// figure returns a metric of the operators' page at an address.
func figure(t *testing.T, admin, name string) float64 {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get("http://" + admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	page, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	value := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`).FindSubmatch(page)
	if value == nil {
		t.Fatalf("the page lacks %s", name)
	}
	number, err := strconv.ParseFloat(string(value[1]), 64)
	if err != nil {
		t.Fatal(err)
	}
	return number
}
