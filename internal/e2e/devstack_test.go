package e2e_test

import (
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/letswriteabook/realtime/internal/sample"
	"github.com/letswriteabook/realtime/messaging"
)

// startDev runs realtime-dev with every address free to choose.
func startDev(t testing.TB, args ...string) *gateway {
	t.Helper()
	free := []string{build(t, "realtime-dev"), "--redis-addr", "127.0.0.1:0", "--mongo-addr", "127.0.0.1:0", "--nats-addr", "127.0.0.1:0"}
	return startServer(t, devLog, append(free, args...)...)
}

// devLog makes realtime-dev say where it listens in the form of the server.
var devLog = settings{"LOG_FORMAT": "json", "LOG_LEVEL": "info"}

var redisAddress = regexp.MustCompile(`redis://(\S+)`)

// redisClient connects to the Redis-protocol server that realtime-dev announced.
func redisClient(g *gateway) *redis.Client {
	g.t.Helper()
	address, found := g.output.find(redisAddress)
	if !found {
		g.t.Fatalf("realtime-dev did not say where Redis listens:\n%s", g.output.tail())
	}
	client := redis.NewClient(&redis.Options{Addr: address})
	g.t.Cleanup(func() { _ = client.Close() })
	return client
}

// The development stack is the service: what its Redis hears reaches a client,
// and is still there after a kill, from its log or its MongoDB.
func TestDevelopmentStack(t *testing.T) {
	t.Parallel()
	const events = 30
	build(t, "realtime-dev")
	began := time.Now()
	server := startDev(t, "--sample=false", "--data-dir", t.TempDir())
	t.Logf("ready after %s", time.Since(began).Round(time.Millisecond))
	nodes := startDriver(t)
	follower := journal{jobID: "dev"}
	c := nodes.connect("live", server.url("/"))
	c.subscribe("dev", nil)
	c.await(messaging.EventCaughtUp)
	producer := startOutbox(t, redisClient(server))
	for range events {
		producer.send("dev")
	}
	producer.settle()
	follower.follow(c, events)
	follower.finish(c, producer.stored())

	server.kill()
	server.start()
	c = nodes.connect("fresh", server.url("/"))
	c.subscribe("dev", nil)
	again := journal{jobID: "dev"}
	again.follow(c, events)
	var end messaging.CaughtUp
	c.await(messaging.EventCaughtUp).into(t, &end)
	if end.Replayed != events || end.Source != messaging.SourceMongoDB && end.Source != messaging.SourceLog {
		t.Errorf("the catch-up ended with %+v", end)
	}
	again.finish(c, producer.stored())
}

// The first thing somebody sees: the page, and on it a job that lives.
func TestSampleJob(t *testing.T) {
	t.Parallel()
	server := startDev(t)
	answer, err := http.Get(server.url("/"))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	page, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if kind := answer.Header.Get("Content-Type"); answer.StatusCode != http.StatusOK || !strings.HasPrefix(kind, "text/html") {
		t.Errorf("the page answers %s, %s", answer.Status, kind)
	}
	for _, part := range []string{"EventSource", "redis-cli", "socket.io-client", sample.Job} {
		if !strings.Contains(string(page), part) {
			t.Errorf("the page does not speak of %q", part)
		}
	}
	events := openStream(t, server, sample.Job, "")
	events.take(3)
	events.close()
}

// A page that has been built takes the place of the plain one, and its own
// origin may open sockets.
func TestBuiltPage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "index.html"), []byte("the built page"), 0o600); err != nil {
		t.Fatal(err)
	}
	server := startDev(t, "--sample=false", "--page", dir)
	for path, want := range map[string]string{"/": "the built page", "/dev": "EventSource", "/config.json": sample.Job} {
		answer, err := http.Get(server.url(path))
		if err != nil {
			t.Fatal(err)
		}
		page, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || !strings.Contains(string(page), want) {
			t.Errorf("%s does not speak of %q: %v, %s", path, want, err, page)
		}
	}
	for host, status := range map[string]int{"localhost": http.StatusOK, "127.0.0.1": http.StatusOK, "elsewhere": http.StatusForbidden} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.url("/api/novel/job/events"), nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Origin", "http://"+net.JoinHostPort(host, server.port))
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != status {
			t.Errorf("a page from %s gets %s", host, answer.Status)
		}
	}
	r := runProgram(t, build(t, "realtime-dev"), devLog, "", "--port", "0", "--redis-addr", "127.0.0.1:0", "--mongo-addr", "127.0.0.1:0",
		"--nats-addr", "127.0.0.1:0", "--page", t.TempDir())
	if r.code != 1 || !strings.Contains(r.reason(), "no built page") {
		t.Errorf("--page without a built page: status %d: %s", r.code, r.reason())
	}
}

// A default address that is taken is replaced and said; one that was asked for
// is an error.
func TestTakenAddresses(t *testing.T) {
	t.Parallel()
	var held []string // what somebody else has taken may be free again before the program asks
	for _, address := range []string{"127.0.0.1:6379", "127.0.0.1:27017", "127.0.0.1:4222", ":3001"} {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			t.Log(err)
			continue
		}
		t.Cleanup(func() { _ = listener.Close() })
		held = append(held, address)
	}
	program := build(t, "realtime-dev")
	server := &gateway{t: t, command: []string{program, "--sample=false"}, env: devLog}
	t.Cleanup(server.stop)
	server.start()
	for _, address := range held {
		port := address[strings.LastIndex(address, ":")+1:]
		if _, found := server.output.find(regexp.MustCompile(`(?m)^(.*` + port + ` is taken.*)$`)); !found {
			t.Errorf("nothing says that %s is taken:\n%s", address, server.output.tail())
		}
	}
	for _, flag := range []string{"--redis-addr", "--mongo-addr", "--nats-addr"} {
		args := []string{"--sample=false", "--redis-addr", "127.0.0.1:0", "--mongo-addr", "127.0.0.1:0", "--nats-addr", "127.0.0.1:0"}
		r := runProgram(t, program, devLog, "", append(args, flag, "127.0.0.1:"+server.port)...)
		if r.code != 1 || !strings.Contains(r.reason(), server.port) {
			t.Errorf("%s on a taken address: status %d: %s", flag, r.code, r.reason())
		}
	}
	r := runProgram(t, program, devLog, "", "--port", server.port)
	if r.code != 1 || !strings.Contains(r.reason(), server.port) {
		t.Errorf("--port on a taken port: status %d: %s", r.code, r.reason())
	}
}

// Pages of the usual development servers on this machine, and the stack's own, may
// connect to realtime-dev without a setting, and nobody else may.
func TestDevelopmentOriginsAreAdmitted(t *testing.T) {
	t.Parallel()
	server := startDev(t, "--sample=false", "--data-dir", t.TempDir())
	nodes := startDriver(t)
	own, rebound := "http://localhost:"+server.port, "rebound.example:"+server.port
	for origin, admitted := range map[string]bool{
		own: true, "http://" + server.address(): true,
		"http://localhost:5173": true, "http://127.0.0.1:5173": true, "http://localhost:3000": true, "http://127.0.0.1:8080": true,
		"http://localhost:9": false, "https://localhost:5173": false, "http://192.0.2.1:5173": false, "https://example.org": false,
		"http://" + rebound: false, "null": false,
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.url("/api/novel/events?jobId=x"), http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Origin", origin)
		if strings.Contains(origin, "rebound") {
			request.Host = rebound // as a name has it that was made to resolve to this machine
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if (response.StatusCode == http.StatusOK) != admitted {
			t.Errorf("a page of %s: %s", origin, response.Status)
		}
		if shared := response.Header.Get("Access-Control-Allow-Origin"); (shared != "") != admitted {
			t.Errorf("a page of %s: Access-Control-Allow-Origin %q", origin, shared)
		}
		c := nodes.open("socket of "+origin, server.url("/"), options{"extraHeaders": map[string]string{"Origin": origin, "Host": request.Host}})
		if e := c.next(); (e.Name == "connect") != admitted {
			t.Errorf("a socket of %s: %s", origin, e)
		}
	}
}
