package e2e_test

import (
	"bufio"
	"compress/gzip"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/internal/testkit"
	"github.com/letswriteabook/realtime/messaging"
)

// entrance is one way through a proxy to a gateway.
type entrance struct {
	name string
	// origin and path make the base of every address; the path ends in a slash.
	origin, path string
	transports   []string // of Node's sockets
	// protocol is the HTTP version that the client and the proxy agree on: 1, or 2, on
	// TLS by ALPN and otherwise by prior knowledge. Node's sockets use 1 everywhere.
	protocol int
}

var bothTransports = []string{"websocket", "polling"}

func (e entrance) url(path string) string { return e.origin + e.path + path }

// TestBehindProxies: sockets over both transports, event streams, pages and connections
// that are used again work behind the proxies of Debian, with the configuration files
// that Debian ships and with the usual ones, over HTTP/1.1 and HTTP/2, also below a path
// that the proxy strips or keeps. There are 17 ways, each with up to two sockets, which take
// some 15 seconds together.
func TestBehindProxies(t *testing.T) {
	t.Parallel()
	redis := testkit.StartRedis(t)
	server := startGateway(t, settings{"REDIS_URL": redis.URL(), "BASE_PATH": "/kept"})
	producer := startOutbox(t, redis.Client())
	own := newCertificate(t)
	ways := slices.Concat(nginxEntrances(t, server.address(), own), haproxyEntrances(t, server.address(), own))
	nodes := startDriver(t)
	for _, way := range ways {
		// Proxies that decode "%2F" take this jobId apart in a path.
		jobID := "team-1/job behind " + way.name
		for _, transport := range way.transports {
			c := nodes.connect(way.name+", "+transport, way.origin,
				options{"path": way.path + "ws", "transports": []string{transport}, "ca": string(own.pem)})
			j := &journal{jobID: jobID}
			c.subscribe(jobID, nil)
			c.await(messaging.EventSubscribed)
			producer.send(jobID)
			producer.settle()
			j.follow(c, len(producer.storedOf(jobID)))
			j.finish(c, producer.storedOf(jobID))
			c.do("disconnect")
		}
		producer.send(jobID)
		producer.settle()
		stored := len(producer.storedOf(jobID))
		client := way.client(t, own)
		way.reuses(t, client, jobID, stored)
		way.redirects(t, client, jobID)
		way.polls(t, client, jobID, stored)
		way.streams(t, client, jobID, stored)
	}
	server.kill() // the proxies may keep connections
}

// client returns one that has a single connection to the proxy.
func (e entrance) client(t *testing.T, own certificate) *http.Client {
	t.Helper()
	transport := &http.Transport{
		MaxConnsPerHost: 1, TLSClientConfig: &tls.Config{RootCAs: own.pool}, DisableCompression: true,
		ForceAttemptHTTP2: e.protocol == 2,
	}
	if e.protocol == 2 && strings.HasPrefix(e.origin, "http:") {
		transport.Protocols = new(http.Protocols)
		transport.Protocols.SetUnencryptedHTTP2(true)
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}

// ask sends one request and expects 200.
func (e entrance) ask(t *testing.T, client *http.Client, method, address string, body io.Reader) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, address, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept-Encoding", "gzip")
	response, err := client.Do(r)
	if err != nil {
		t.Fatalf("%s: %v", e.name, err)
	}
	if response.StatusCode != http.StatusOK || response.ProtoMajor != e.protocol {
		t.Errorf("%s: %s %s answers %s over %s", e.name, method, address, response.Status, response.Proto)
	}
	return response
}

// text reads a body to its end, compressed or not.
func text(t *testing.T, response *http.Response) string {
	t.Helper()
	defer response.Body.Close()
	body, err := io.ReadAll(plain(t, response))
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// plain returns a body that a proxy may have compressed.
func plain(t *testing.T, response *http.Response) io.Reader {
	t.Helper()
	if response.Header.Get("Content-Encoding") != "gzip" {
		return response.Body
	}
	reader, err := gzip.NewReader(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reader
}

func (e entrance) stream(jobID string) string {
	return e.url("api/realtime/stream?jobId=" + url.QueryEscape(jobID))
}

func (e entrance) page(jobID string) string {
	return e.url("api/novel/events?jobId=" + url.QueryEscape(jobID))
}

// reuses: HEAD of an event stream holds up no later request on the connection, neither on
// the client's nor on one that the proxy keeps.
func (e entrance) reuses(t *testing.T, client *http.Client, jobID string, stored int) {
	t.Helper()
	for range 3 {
		_ = e.ask(t, client, http.MethodHead, e.stream(jobID), http.NoBody).Body.Close()
		var page struct{ Count int }
		if answer := text(t, e.ask(t, client, http.MethodGet, e.page(jobID), http.NoBody)); json.Unmarshal([]byte(answer), &page) != nil || page.Count != stored {
			t.Errorf("%s: of %d events the page has %s", e.name, stored, answer)
		}
	}
}

// redirects: a path with a slash too many leads to the gateway, under the proxy's path.
func (e entrance) redirects(t *testing.T, client *http.Client, jobID string) {
	t.Helper()
	twice := strings.Replace(e.page(jobID), "api/novel/", "api//novel//", 1)
	_ = text(t, e.ask(t, client, http.MethodGet, twice, http.NoBody))
}

// polls follows a job over the polling transport, in the HTTP version of the entrance,
// as a browser does.
func (e entrance) polls(t *testing.T, client *http.Client, jobID string, stored int) {
	t.Helper()
	address := e.url("ws/?EIO=4&transport=polling")
	receive := func() []string {
		return strings.Split(text(t, e.ask(t, client, http.MethodGet, address, http.NoBody)), "\x1e")
	}
	send := func(packet string) {
		_ = text(t, e.ask(t, client, http.MethodPost, address, strings.NewReader(packet)))
	}
	var opened struct{ SID string }
	if opening := receive()[0]; !strings.HasPrefix(opening, "0") || json.Unmarshal([]byte(opening[1:]), &opened) != nil {
		t.Fatalf("%s: polling begins with %q", e.name, opening)
	}
	address += "&sid=" + url.QueryEscape(opened.SID)
	send("40")
	request, err := json.Marshal([]any{messaging.EventSubscribe, map[string]any{"jobId": jobID}})
	if err != nil {
		t.Fatal(err)
	}
	send("42" + string(request))
	for events := 0; events < stored; {
		for _, packet := range receive() {
			switch {
			case packet == "2":
				send("3")
			case strings.HasPrefix(packet, `42["novel.domain-event",`):
				events++
			}
		}
	}
	send("1")
}

// streams: the first bytes of an event stream arrive at once, before the first event, and
// each event while the stream goes on, whether or not the proxy compresses.
func (e entrance) streams(t *testing.T, client *http.Client, jobID string, stored int) {
	t.Helper()
	began := time.Now()
	response := e.ask(t, client, http.MethodGet, e.stream(jobID), http.NoBody)
	defer response.Body.Close()
	lines := bufio.NewScanner(plain(t, response))
	if !lines.Scan() || !strings.HasPrefix(lines.Text(), ": ") {
		t.Errorf("%s: the stream begins with %q, %v", e.name, lines.Text(), lines.Err())
	}
	t.Logf("%s: first bytes of the stream after %s, Content-Encoding %q", e.name, time.Since(began).Round(time.Millisecond/10), response.Header.Get("Content-Encoding"))
	events := 0
	for events < stored && lines.Scan() {
		if strings.HasPrefix(lines.Text(), "id:") {
			events++
		}
	}
	if err := lines.Err(); err != nil || events < stored {
		t.Errorf("%s: the stream ended after %d of %d events: %v", e.name, events, stored, err)
	}
}

// shipped returns a file that Debian installs with a proxy.
func shipped(t *testing.T, path string) string {
	t.Helper()
	file, err := os.ReadFile(path)
	if err == nil {
		return string(file)
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("a file of Debian is missing: %v", err)
	}
	t.Skipf("SKIPPED, NOTHING WAS TESTED: a file of Debian is missing: %v", err)
	return ""
}

// withoutLines leaves out the lines that begin with one of the words: those that need
// root or name a place where only a service of the system may write.
func withoutLines(file string, words ...string) string {
	var kept []string
	for line := range strings.Lines(file) {
		fields := strings.Fields(line)
		if len(fields) == 0 || !slices.Contains(words, fields[0]) {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}
