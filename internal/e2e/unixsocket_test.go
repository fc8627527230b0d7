package e2e_test

import (
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/letswriteabook/realtime/internal/config"
	"github.com/letswriteabook/realtime/internal/server"
	"github.com/letswriteabook/realtime/internal/testkit"
	"github.com/letswriteabook/realtime/internal/testkit/gatewaykit"
)

// TestUnixSocket: a gateway on a UNIX socket, which takes the place of one that a killed
// process has left, works behind nginx with the block of docs/ops/proxies.md, and tells
// clients apart by the address that nginx names.
func TestUnixSocket(t *testing.T) {
	t.Parallel()
	program := testkit.Program(t, "nginx")
	dir, err := os.MkdirTemp("", "unix") // a path of a test's own folder may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "http.sock")
	abandoned, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	abandoned.SetUnlinkOnClose(false)
	if err := abandoned.Close(); err != nil {
		t.Fatal(err)
	}
	env := settings{
		"LISTEN": "unix:" + path, "LISTEN_MODE": "0600", "ADMIN_ADDR": testkit.FreeAddr(t),
		"TRUSTED_PROXIES": "127.0.0.1", "SOCKET_MAX_CONNECTIONS_PER_IP": "1",
	}
	gatewaykit.Start(t, env)
	if info, err := os.Stat(path); err != nil || info.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("the socket is %v, %v", info, err)
	}
	if r := run(t, settings{"LISTEN": "unix:" + path}, "", "health"); r.code != 0 || r.stdout != "ready\n" {
		t.Errorf("health: status %d: %s%s", r.code, r.stdout, r.stderr)
	}
	cfg, err := config.Load(map[string]string{"LISTEN": "unix:" + path, "DATA_DIR": t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := server.Open(t.Context(), cfg, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "a process listens on "+path) {
		t.Errorf("a second gateway on the socket: %v", err)
	}

	address, folder := freeAddress(t), t.TempDir()
	site := substituted(t, block(t, "../../docs/ops/proxies.md", "nginx"),
		"server 127.0.0.1:3001;", "server unix:"+path+";", "listen 443 ssl http2;", "listen "+address+";",
		"ssl_certificate     /etc/ssl/site.pem;", "", "ssl_certificate_key /etc/ssl/site.key;", "")
	file := filepath.Join(folder, "nginx.conf")
	if err := os.WriteFile(file, []byte(nginxAround(folder, site)), 0o600); err != nil {
		t.Fatal(err)
	}
	runProxy(t, exec.Command(program, "-p", folder, "-e", "stderr", "-c", file), address)
	if err := get("http://" + address + "/health/live"); err != nil {
		t.Error(err)
	}
	join := func(client string) error {
		t.Helper()
		conn, response, err := websocket.DefaultDialer.Dial("ws://"+address+"/ws/?EIO=4&transport=websocket", http.Header{"X-Forwarded-For": {client}})
		if err != nil {
			return err
		}
		_ = response.Body.Close()
		t.Cleanup(func() { _ = conn.Close() })
		if err := conn.WriteMessage(websocket.TextMessage, []byte("40")); err != nil {
			return err
		}
		for { // past the transport's handshake
			_, text, err := conn.ReadMessage()
			if err != nil {
				return err
			}
			switch {
			case strings.HasPrefix(string(text), "40"):
				return nil
			case strings.HasPrefix(string(text), "44"):
				return fmt.Errorf("refused: %s", text)
			}
		}
	}
	for _, client := range []string{"203.0.113.7", "203.0.113.8"} {
		if err := join(client); err != nil {
			t.Errorf("a socket of %s: %v", client, err)
		}
	}
	if err := join("203.0.113.7"); err == nil {
		t.Error("an address has two sockets")
	}
}

// nginxAround is a configuration of nginx that runs in a folder as one process of any user.
func nginxAround(folder, site string) string {
	return fmt.Sprintf("daemon off; master_process off; pid %[1]s/pid; error_log stderr; events {} http { access_log off;"+
		" client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/fastcgi; uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;\n%[2]s}", folder, site)
}
