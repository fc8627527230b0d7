package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/letswriteabook/realtime/internal/testkit"
)

// haproxyEntrances stands HAProxy in front of a gateway, with the file that Debian ships
// and the frontends that one needs at least, and with those of docs/ops/proxies.md, which
// are given to it with and without TLS.
func haproxyEntrances(t *testing.T, gateway string, own certificate) []entrance {
	t.Helper()
	program := testkit.Program(t, "haproxy")
	plain, usual, newer, secure := freeAddress(t), freeAddress(t), freeAddress(t), freeAddress(t)
	config := withoutLines(shipped(t, "/etc/haproxy/haproxy.cfg"), "log", "chroot", "stats", "user", "group", "daemon") +
		fmt.Sprintf("\nlisten plain\n  bind %s\n  server gateway %s\n", plain, gateway) +
		substituted(t, block(t, "../../docs/ops/proxies.md", "haproxy"),
			"bind :443 ssl", fmt.Sprintf("bind %s\n  bind %s proto h2\n  bind %s ssl", usual, newer, secure),
			"/etc/ssl/site-and-key.pem", own.both,
			"127.0.0.1:3001", gateway)
	path := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	runProxy(t, exec.Command(program, "-db", "-n", "64", "-f", path), plain, usual, newer, secure)
	return []entrance{
		{"Debian's HAProxy", "http://" + plain, "/", bothTransports, 1},
		{"HAProxy", "http://" + usual, "/", bothTransports, 1},
		{"HAProxy that strips a path", "http://" + usual, "/rt/", bothTransports, 1},
		{"HAProxy that keeps a path", "http://" + usual, "/kept/", bothTransports, 1},
		{"HAProxy, HTTP/2", "http://" + newer, "/", nil, 2},
		{"HAProxy, TLS", "https://" + secure, "/", bothTransports, 2},
		{"HAProxy that strips a path, TLS", "https://" + secure, "/rt/", bothTransports, 2},
		{"HAProxy that keeps a path, TLS", "https://" + secure, "/kept/", bothTransports, 2},
	}
}
