package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/internal/testkit"
)

// nginxEntrances stands nginx in front of a gateway: with the files that Debian ships, in
// whose default site the gateway takes the place of the files; with the server of
// docs/ops/proxies.md, to which compression is added, with and without TLS; and with the
// locations of docs/guides/moving-over.md.
func nginxEntrances(t *testing.T, gateway string, own certificate) []entrance {
	t.Helper()
	program := testkit.Program(t, "nginx")
	dir := t.TempDir()
	plain, usual, newer, secure, moved := freeAddress(t), freeAddress(t), freeAddress(t), freeAddress(t), freeAddress(t)
	documented := substituted(t, block(t, "../../docs/ops/proxies.md", "nginx"),
		"127.0.0.1:3001", gateway,
		"keepalive 16", "keepalive 1",
		"/etc/ssl/site.pem", own.file, "/etc/ssl/site.key", own.key,
		"listen 443 ssl http2;", fmt.Sprintf("listen %s; listen %s ssl http2;", usual, secure))
	documented, server, _ := strings.Cut(documented, "server {")
	server = "server { gzip_types *; gzip_min_length 0; gzip_proxied any;" + server
	sites := strings.Join([]string{
		defaultSite(t, plain, gateway),
		documented, server,
		// HTTP/2 without TLS; such a listener has nothing else.
		substituted(t, server, fmt.Sprintf("listen %s; listen %s ssl http2;", usual, secure), fmt.Sprintf("listen %s http2;", newer)),
		// Nobody listens where the other half of the guide's paths leads.
		fmt.Sprintf("upstream realtime { server %s; } upstream node-api { server 127.0.0.1:1; }", gateway),
		fmt.Sprintf("server { listen %s; %s }", moved, block(t, "../../docs/guides/moving-over.md", "nginx")),
	}, "\n")
	config := withoutLines(shipped(t, "/etc/nginx/nginx.conf"), "user", "pid", "error_log", "access_log")
	config = strings.ReplaceAll(config, "include /etc/nginx/modules-enabled/*.conf;", "")
	config = strings.ReplaceAll(config, "include /etc/nginx/conf.d/*.conf;", "")
	config = strings.ReplaceAll(config, "include /etc/nginx/sites-enabled/*;", fmt.Sprintf(
		`include %[1]s/sites; access_log off; client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/fastcgi; uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;`, dir))
	config = fmt.Sprintf("daemon off; master_process off; pid %s/pid; error_log stderr;\n%s", dir, config)
	path := filepath.Join(dir, "nginx.conf")
	for name, content := range map[string]string{path: config, filepath.Join(dir, "sites"): sites} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	runProxy(t, exec.Command(program, "-p", dir, "-e", "stderr", "-c", path), plain, usual, newer, secure, moved)
	return []entrance{
		{"Debian's nginx", "http://" + plain, "/", []string{"polling"}, 1}, // it has HTTP/1.0, without an upgrade
		{"nginx", "http://" + usual, "/", bothTransports, 1},
		{"nginx that strips a path", "http://" + usual, "/rt/", bothTransports, 1},
		{"nginx that keeps a path", "http://" + usual, "/kept/", bothTransports, 1},
		{"nginx of the guide", "http://" + moved, "/", bothTransports, 1},
		{"nginx, HTTP/2", "http://" + newer, "/", nil, 2},
		{"nginx, TLS", "https://" + secure, "/", bothTransports, 2},
		{"nginx that strips a path, TLS", "https://" + secure, "/rt/", bothTransports, 2},
		{"nginx that keeps a path, TLS", "https://" + secure, "/kept/", bothTransports, 2},
	}
}

// defaultSite is Debian's, with the gateway in the place of the files.
func defaultSite(t *testing.T, address, gateway string) string {
	t.Helper()
	site := withoutLines(shipped(t, "/etc/nginx/sites-available/default"), "listen")
	const files = "try_files $uri $uri/ =404;"
	if !strings.Contains(site, files) {
		t.Fatalf("Debian's default site has no %q:\n%s", files, site)
	}
	site = strings.Replace(site, files, "include /etc/nginx/proxy_params; proxy_pass http://"+gateway+";", 1)
	return strings.Replace(site, "server {", "server { listen "+address+";", 1)
}

// block returns the first block of a language in a page.
func block(t *testing.T, page, language string) string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "```"+language+"\n")
	found, _, ok := strings.Cut(after, "```")
	if !ok {
		t.Fatalf("%s has no block of %s", page, language)
	}
	return found
}

// substituted replaces each old text with the new one that follows it. All of them have
// to be there.
func substituted(t *testing.T, text string, oldNew ...string) string {
	t.Helper()
	for i := 0; i < len(oldNew); i += 2 {
		if !strings.Contains(text, oldNew[i]) {
			t.Fatalf("there is no %q in:\n%s", oldNew[i], text)
		}
		text = strings.ReplaceAll(text, oldNew[i], oldNew[i+1])
	}
	return text
}
