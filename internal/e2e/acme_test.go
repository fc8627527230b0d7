package e2e_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/internal/testkit"
	"github.com/letswriteabook/realtime/internal/tlsfiles"
)

// acmeAuthority is Pebble, the test server of Let's Encrypt, with name servers for which
// every name is this machine.
type acmeAuthority struct {
	directory string
	trust     string // file with the authority of its own certificate
	// root is the authority of the certificates that it issues.
	root *x509.CertPool
	stop func()
}

// startAuthority starts one that looks for its challenges on a port of this machine.
func startAuthority(t *testing.T, port string) *acmeAuthority {
	t.Helper()
	dir := t.TempDir()
	const pebble = "github.com/letsencrypt/pebble/v2/cmd/"
	if out, err := exec.Command("go", "build", "-modfile=../../tools/go.mod", "-o", dir+"/", pebble+"pebble", pebble+"pebble-challtestsrv").CombinedOutput(); err != nil {
		t.Fatalf("build Pebble: %v\n%s", err, out)
	}
	own := testkit.NewAuthority(t)
	cert, key := own.Issue("pebble")
	listen, management, names := freeAddress(t), freeAddress(t), freeAddress(t)
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": listen, "managementListenAddress": management, "certificate": cert, "privateKey": key, "tlsPort": number, "keyAlgorithm": "ecdsa",
		"retryAfter": map[string]int{"authz": 1, "order": 1},
	}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "pebble.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	start := func(name string, arguments ...string) (stop func()) {
		t.Helper()
		process := exec.Command(filepath.Join(dir, name), arguments...)
		process.Env = append(environ(nil), "PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=0")
		if err := process.Start(); err != nil {
			t.Fatal(err)
		}
		return func() {
			_ = process.Process.Kill()
			_ = process.Wait() // says "signal: killed"
		}
	}
	t.Cleanup(start("pebble-challtestsrv", "-dnsserver", names, "-management", freeAddress(t), "-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", "", "-defaultIPv4", "127.0.0.1", "-defaultIPv6", ""))
	eventually(t, "the name server listens", func() error {
		conn, err := net.Dial("tcp", names)
		if err == nil {
			_ = conn.Close()
		}
		return err
	})
	stopped := false
	end := start("pebble", "-config", file, "-dnsserver", names)
	a := &acmeAuthority{directory: "https://" + listen + "/dir", trust: own.File, root: x509.NewCertPool(), stop: func() {
		if !stopped {
			stopped = true
			end()
		}
	}}
	t.Cleanup(a.stop)
	trusting, err := tlsfiles.Files{CA: own.File}.Client()
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: trusting, DisableKeepAlives: true}}
	read := func(url string) (body []byte) {
		eventually(t, url+" answers", func() error {
			response, err := client.Get(url)
			if err != nil {
				return err
			}
			defer response.Body.Close()
			body, err = io.ReadAll(response.Body)
			return err
		})
		return body
	}
	read(a.directory)
	if !a.root.AppendCertsFromPEM(read("https://" + management + "/roots/0")) {
		t.Fatal("Pebble shows no root certificate")
	}
	return a
}

// TestACME: a gateway gets a certificate from an authority that looks for the answer on the
// gateway's own port, keeps it over a restart while the authority is away, shows it to
// clients that send no name, and none for another name. Each of its names has a certificate
// of its own, and the metric has the end of the first.
func TestACME(t *testing.T) {
	t.Parallel()
	_, port, err := net.SplitHostPort(freeAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	authority := startAuthority(t, port)
	cache, admin := filepath.Join(t.TempDir(), "acme"), testkit.FreeAddr(t)
	const host, second = "rt.example.com", "rt2.example.com"
	g := &gateway{t: t, command: []string{build(t, "realtime"), "serve"}, port: port, pages: "http://" + admin, env: settings{
		"HOST": "127.0.0.1", "DATA_DIR": t.TempDir(), "NATS_SYNC": "10s", "DRAIN_SECONDS": "0", "ADMIN_ADDR": admin,
		"ACME_HOSTS": host + "," + second, "ACME_CACHE_DIR": cache, "ACME_DIRECTORY_URL": authority.directory, "ACME_CA_FILE": authority.trust,
	}}
	t.Cleanup(func() {
		if g.process != nil {
			g.stop()
		}
	})
	g.start()
	// shown returns the number of the certificate for a name, as a client verifies it.
	shown := func(name string) (serial string, err error) {
		settings := &tls.Config{RootCAs: authority.root, ServerName: name}
		if name == "" { // of which the certificate is not: who connects by the address does not compare it
			settings.InsecureSkipVerify = true
		}
		conn, err := tls.Dial("tcp", g.address(), settings)
		if err != nil {
			return "", err
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.String(), nil
	}
	var first string
	eventually(t, "there is a certificate", func() (err error) {
		first, err = shown(host)
		return err
	})
	eventually(t, "the second name has a certificate", func() error {
		serial, err := shown(second)
		if err == nil && serial == first {
			t.Errorf("both names have the certificate %s", serial)
		}
		return err
	})
	eventually(t, "the metric has the end of the certificates", func() error {
		response, err := http.Get(g.pages + "/metrics")
		if err != nil {
			return err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			return err
		}
		var remaining float64
		_, line, _ := strings.Cut(string(body), "\nrealtime_app_certificate_remaining_seconds ")
		if _, err := fmt.Sscan(line, &remaining); err != nil || remaining <= 0 || math.IsInf(remaining, 0) {
			return fmt.Errorf("it is %v: %w", remaining, err)
		}
		return nil
	})
	if info, err := os.Stat(cache); err != nil || info.Mode() != fs.ModeDir|0o700 {
		t.Errorf("the folder of certificates is %v, %v", info, err)
	}
	if _, err := shown("other.example.com"); err == nil {
		t.Error("another name has a certificate")
	}
	if r := run(t, settings{"HOST": "127.0.0.1", "PORT": port, "ACME_HOSTS": host}, "", "health"); r.code != 0 {
		t.Errorf("health: status %d: %s%s", r.code, r.stdout, r.stderr)
	}
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: authority.root, ServerName: host}, DisableKeepAlives: true,
	}}
	response, err := client.Get(fmt.Sprintf("https://%s/health/live", g.address()))
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()

	authority.stop()
	g.stop()
	g.start()
	if again, err := shown(host); err != nil || again != first {
		t.Errorf("after a restart without the authority: %s, want %s: %v", again, first, err)
	}
	if again, err := shown(""); err != nil || again != first {
		t.Errorf("without a name: %s, want %s: %v", again, first, err)
	}
}
