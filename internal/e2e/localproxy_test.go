package e2e_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/internal/freeaddr"
	"github.com/letswriteabook/realtime/internal/testkit"
)

// operatorsToken is INTERNAL_TOKEN of the gateways behind the proxies.
const operatorsToken = "a token of the operators"

// operatorsPaths are closed to everybody who is no operator.
var operatorsPaths = []string{"/metrics", "/internal/realtime/metrics", "/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/goroutine?debug=1"}

// adminAddress is how a gateway says where the operators' pages are.
var adminAddress = regexp.MustCompile(`"msg":"operators' pages","addr":"([^"]+)"`)

// A proxy on the gateway's machine in its plainest form, which sends no forwarding
// header, lets nobody in who shows no token: not with any Host, and not without one.
func TestLocalProxyOpensNothing(t *testing.T) {
	t.Parallel()
	deployments := []struct {
		name string
		env  settings
		// bearer is what the operators' pages of the public port answer to the token,
		// stranger to everybody else.
		bearer, stranger int
		publishes        int // what publishing answers to the token
	}{
		{"production with both", settings{"ENVIRONMENT": "production", "ADMIN_ADDR": "127.0.0.1:0", "INTERNAL_TOKEN": operatorsToken}, 404, 404, 201},
		{"production with nothing", settings{"ENVIRONMENT": "production"}, 401, 401, 401},
		{"a token", settings{"INTERNAL_TOKEN": operatorsToken}, 200, 401, 201},
		{"an address for operators", settings{"ADMIN_ADDR": "127.0.0.1:0"}, 404, 404, 401},
		{"trusted proxies", settings{"TRUSTED_PROXIES": "127.0.0.1/32"}, 401, 401, 401},
	}
	for _, deployed := range deployments {
		t.Run(deployed.name, func(t *testing.T) {
			t.Parallel()
			g := startGateway(t, deployed.env)
			ways := map[string]string{"direct": g.address()}
			ways["nginx"], ways["nginx, HTTP/1.1"] = startNginx(t, g.address())
			ways["haproxy"], ways["haproxy, TCP"] = startHAProxy(t, g.address())
			for way, address := range ways {
				if status := ask(t, address, "GET", "/health/live", "Host: gateway"); status != 200 {
					t.Errorf("%s: health answers %d", way, status)
				}
				strangers := map[string][]string{
					"without Host":     nil,
					"this machine":     {"Host: localhost"},
					"its address":      {"Host: " + g.address()},
					"another name":     {"Host: book.example"},
					"another token":    {"Host: localhost", "Authorization: Bearer a guess of a token"},
					"a foreign page":   {"Host: localhost", "Sec-Fetch-Site: cross-site"},
					"a forged address": {"Host: localhost", "X-Forwarded-For: 127.0.0.1"},
				}
				for who, headers := range strangers {
					for _, path := range operatorsPaths {
						if status := ask(t, address, "GET", path, headers...); status != deployed.stranger && !malformed(headers, status) {
							t.Errorf("%s, %s: %s answers %d, want %d", way, who, path, status, deployed.stranger)
						}
					}
					if status := publish(t, address, headers...); status != 401 && !malformed(headers, status) {
						t.Errorf("%s, %s: publishing answers %d", way, who, status)
					}
				}
				token := []string{"Host: book.example", "Authorization: Bearer " + operatorsToken}
				for _, path := range operatorsPaths {
					if status := ask(t, address, "GET", path, token...); status != deployed.bearer {
						t.Errorf("%s, with the token: %s answers %d, want %d", way, path, status, deployed.bearer)
					}
				}
				if status := publish(t, address, token...); status != deployed.publishes {
					t.Errorf("%s, with the token: publishing answers %d, want %d", way, status, deployed.publishes)
				}
			}
			admin, found := g.output.find(adminAddress)
			if found != (deployed.env["ADMIN_ADDR"] != "") {
				t.Fatalf("the gateway says %q of its operators' address", admin)
			}
			if found {
				for _, path := range operatorsPaths {
					if status := ask(t, admin, "GET", path, "Host: book.example"); status != 200 {
						t.Errorf("ADMIN_ADDR: %s answers %d", path, status)
					}
					if status := ask(t, admin, "GET", path, "Host: localhost", "Sec-Fetch-Site: cross-site"); status != 403 {
						t.Errorf("ADMIN_ADDR: %s answers %d to a foreign page", path, status)
					}
				}
			}
			if _, told := g.output.find(regexp.MustCompile(`(closed to everybody: set ADMIN_ADDR)`)); told != (deployed.bearer == 401) {
				t.Errorf("that the pages are closed is said: %v", told)
			}
		})
	}
}

// malformed reports whether a request without Host was refused for that, as RFC 9112
// has it for HTTP/1.1.
func malformed(headers []string, status int) bool { return headers == nil && status == 400 }

// On a developer's machine the pages are open to who asks there, and to nobody else
// who can be told apart.
func TestLocalDevelopment(t *testing.T) {
	t.Parallel()
	g := startGateway(t, nil)
	plain, newer := startNginx(t, g.address())
	http1, tcp := startHAProxy(t, g.address())
	for _, try := range []struct {
		name, address string
		headers       []string
		want          int
	}{
		{"direct", g.address(), []string{"Host: localhost"}, 200},
		{"a page of the gateway's", g.address(), []string{"Host: localhost", "Sec-Fetch-Site: same-origin"}, 200},
		{"the address bar", g.address(), []string{"Host: localhost", "Sec-Fetch-Site: none"}, 200},
		{"a page of another site", g.address(), []string{"Host: localhost", "Sec-Fetch-Site: cross-site"}, 401},
		{"a page of another port", g.address(), []string{"Host: localhost", "Sec-Fetch-Site: same-site"}, 401},
		{"plain nginx", plain, []string{"Host: book.example"}, 401},
		{"nginx with HTTP/1.1 and Host", newer, []string{"Host: book.example"}, 401},
		{"haproxy", http1, []string{"Host: book.example"}, 401},
		{"haproxy, TCP", tcp, []string{"Host: book.example"}, 401},
	} {
		for _, path := range operatorsPaths {
			if status := ask(t, try.address, "GET", path, try.headers...); status != try.want {
				t.Errorf("%s: %s answers %d, want %d", try.name, path, status, try.want)
			}
		}
		want := 201
		if try.want != 200 {
			want = try.want
		}
		if status := publish(t, try.address, try.headers...); status != want {
			t.Errorf("%s: publishing answers %d, want %d", try.name, status, want)
		}
	}
}

// ask sends one request with exactly these headers and returns the status.
func ask(t *testing.T, address, method, path string, headers ...string) int {
	t.Helper()
	return exchange(t, address, method, path, "", headers)
}

// publish posts one event.
func publish(t *testing.T, address string, headers ...string) int {
	t.Helper()
	const event = `{"kind":"domain","jobId":"job","event":{"type":"t","occurredAt":"o"}}`
	return exchange(t, address, "POST", "/api/realtime/events", event, append([]string{"Content-Type: application/json"}, headers...))
}

func exchange(t *testing.T, address, method, path, body string, headers []string) int {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	// Without Host it is HTTP/1.0, which asks for none.
	protocol := "HTTP/1.0"
	for _, header := range headers {
		if strings.HasPrefix(header, "Host:") {
			protocol = "HTTP/1.1"
		}
	}
	headers = append([]string{"Connection: close", fmt.Sprintf("Content-Length: %d", len(body))}, headers...)
	if _, err := fmt.Fprintf(conn, "%s %s %s\r\n%s\r\n\r\n%s", method, path, protocol, strings.Join(headers, "\r\n"), body); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%s %s at %s with %q: %v", method, path, address, headers, err)
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode
}

// startNginx stands nginx in front of a gateway twice: as two lines of configuration
// make it, and with HTTP/1.1 and the client's Host.
func startNginx(t *testing.T, gateway string) (plain, newer string) {
	t.Helper()
	program := testkit.Program(t, "nginx")
	plain, newer = freeAddress(t), freeAddress(t)
	dir := t.TempDir()
	config := fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log stderr; worker_rlimit_nofile 256;
events { worker_connections 64; }
http {
  access_log off;
  client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/fastcgi; uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;
  server { listen %[2]s; location / { proxy_pass http://%[4]s; } }
  server { listen %[3]s; location / { proxy_pass http://%[4]s; proxy_http_version 1.1; proxy_set_header Host $host; } }
}
`, dir, plain, newer, gateway)
	path := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	runProxy(t, exec.Command(program, "-p", dir, "-e", "stderr", "-c", path), plain, newer)
	return plain, newer
}

// startHAProxy stands HAProxy in front of a gateway twice, for HTTP and for TCP.
func startHAProxy(t *testing.T, gateway string) (http1, tcp string) {
	t.Helper()
	program := testkit.Program(t, "haproxy")
	http1, tcp = freeAddress(t), freeAddress(t)
	config := fmt.Sprintf(`global
  maxconn 64
defaults
  timeout connect 60s
  timeout client 60s
  timeout server 60s
listen http
  mode http
  bind %s
  server gateway %s
listen tcp
  mode tcp
  bind %s
  server gateway %s
`, http1, gateway, tcp, gateway)
	path := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	runProxy(t, exec.Command(program, "-db", "-f", path), http1, tcp)
	return http1, tcp
}

// runProxy runs a proxy until the end of the test, and waits until it listens.
func runProxy(t *testing.T, process *exec.Cmd, addresses ...string) {
	t.Helper()
	output := &output{listening: make(chan string, 1)}
	process.Stdout, process.Stderr = output, output
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = process.Process.Kill()
		_ = process.Wait() // says "signal: killed"
	})
	for _, address := range addresses {
		eventually(t, "the proxy listens", func() error {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				return fmt.Errorf("%w: %s", err, output.tail())
			}
			return conn.Close()
		})
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	address, err := freeaddr.New()
	if err != nil {
		t.Fatal(err)
	}
	return address
}
