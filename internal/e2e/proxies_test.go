package e2e_test

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/internal/testkit"
	"github.com/letswriteabook/realtime/messaging"
)

// entrance is one way through a proxy to a gateway.
type entrance struct {
	name string
	// origin and path make the base of everything; the path ends in a slash.
	origin, path string
	transports   []string // of sockets; none: the clients speak HTTP/2
}

// Sockets, event streams and connections that are used again work behind the proxies
// of Debian, in their default and their usual configurations, also below a path that
// the proxy strips.
func TestBehindProxies(t *testing.T) {
	t.Parallel()
	redis := testkit.StartRedis(t)
	server := startGateway(t, settings{"REDIS_URL": redis.URL(), "BASE_PATH": "/kept"})
	producer := startOutbox(t, redis.Client())
	ways := append(nginxEntrances(t, server.address()), haproxyEntrances(t, server.address())...)
	nodes := startDriver(t)
	for _, way := range ways {
		jobID := "job behind " + way.name
		producer.send(jobID)
		producer.settle()
		for _, transport := range way.transports {
			c := nodes.connect(way.name+", "+transport, way.origin, options{"path": way.path + "ws", "transports": []string{transport}})
			j := &journal{jobID: jobID}
			c.subscribe(jobID, nil)
			c.await(messaging.EventSubscribed)
			producer.send(jobID)
			producer.settle()
			j.follow(c, len(producer.storedOf(jobID)))
			j.finish(c, producer.storedOf(jobID))
			c.do("disconnect")
		}

		// One connection of the client's, and one of the proxy's where it keeps them.
		transport := &http.Transport{MaxConnsPerHost: 1}
		if len(way.transports) == 0 {
			transport.Protocols = new(http.Protocols)
			transport.Protocols.SetUnencryptedHTTP2(true)
		}
		t.Cleanup(transport.CloseIdleConnections)
		client := &http.Client{Transport: transport, Timeout: patience}
		base := way.origin + way.path
		stream := base + "api/realtime/stream?jobId=" + strings.ReplaceAll(jobID, " ", "%20")
		for range 3 {
			for _, request := range [][2]string{{"HEAD", stream}, {"GET", base + "health/live"}} {
				r, err := http.NewRequestWithContext(t.Context(), request[0], request[1], nil)
				if err != nil {
					t.Fatal(err)
				}
				response, err := client.Do(r)
				if err != nil {
					t.Fatalf("%s: %v", way.name, err)
				}
				_ = response.Body.Close()
				if response.StatusCode != http.StatusOK {
					t.Errorf("%s: %s %s answers %d", way.name, request[0], request[1], response.StatusCode)
				}
			}
		}
		// A stream arrives while it goes on: no proxy keeps it until a buffer is full.
		response, err := client.Get(stream)
		if err != nil {
			t.Fatalf("%s: %v", way.name, err)
		}
		lines, events := bufio.NewScanner(response.Body), 0
		for events < len(producer.storedOf(jobID)) && lines.Scan() {
			if strings.HasPrefix(lines.Text(), "id:") {
				events++
			}
		}
		if err := lines.Err(); err != nil {
			t.Errorf("%s: stream: %v", way.name, err)
		}
		_ = response.Body.Close()
	}
	server.kill() // the proxies may keep connections
}

var bothTransports = []string{"websocket", "polling"}

func nginxEntrances(t *testing.T, gateway string) []entrance {
	t.Helper()
	program := testkit.Program(t, "nginx")
	plain, usual, newer, dir := freeAddress(t), freeAddress(t), freeAddress(t), t.TempDir()
	config := fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log stderr; worker_rlimit_nofile 256;
events { worker_connections 64; }
http {
  access_log off; gzip on;
  client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/fastcgi; uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;
  map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
  upstream gateway { server %[4]s; keepalive 1; }
  server { listen %[2]s; location / { proxy_pass http://%[4]s; } }
  server {
    listen %[3]s;
    proxy_http_version 1.1; proxy_set_header Host $http_host;
    proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;
    location / { proxy_pass http://gateway; }
    location /rt/ { proxy_pass http://gateway/; }
  }
  server { listen %[5]s http2; proxy_http_version 1.1; proxy_set_header Connection ''; location / { proxy_pass http://gateway; } }
}
`, dir, plain, usual, gateway, newer)
	path := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	runProxy(t, exec.Command(program, "-p", dir, "-e", "stderr", "-c", path), plain, usual, newer)
	return []entrance{
		{"plain nginx", "http://" + plain, "/", []string{"polling"}}, // it has HTTP/1.0, without an upgrade
		{"nginx", "http://" + usual, "/", bothTransports},
		{"nginx that strips a path", "http://" + usual, "/rt/", bothTransports},
		{"nginx, HTTP/2", "http://" + newer, "/", nil},
		{"nginx that keeps a path", "http://" + usual, "/kept/", bothTransports},
	}
}

func haproxyEntrances(t *testing.T, gateway string) []entrance {
	t.Helper()
	program := testkit.Program(t, "haproxy")
	plain, usual, newer := freeAddress(t), freeAddress(t), freeAddress(t)
	config := fmt.Sprintf(`global
  maxconn 64
defaults
  mode http
  timeout connect 60s
  timeout client 60s
  timeout server 60s
listen plain
  bind %[1]s
  server gateway %[3]s
listen usual
  bind %[2]s
  option forwardfor
  http-reuse always
  timeout tunnel 1h
  http-request replace-path /rt(/.*) \1
  server gateway %[3]s
listen newer
  bind %[4]s proto h2
  server gateway %[3]s
`, plain, usual, gateway, newer)
	path := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	runProxy(t, exec.Command(program, "-db", "-f", path), plain, usual, newer)
	return []entrance{
		{"plain HAProxy", "http://" + plain, "/", bothTransports},
		{"HAProxy", "http://" + usual, "/", bothTransports},
		{"HAProxy, HTTP/2", "http://" + newer, "/", nil},
		{"HAProxy that strips a path", "http://" + usual, "/rt/", bothTransports},
	}
}
