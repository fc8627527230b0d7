package tlsfiles_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/internal/testkit"
	"github.com/letswriteabook/realtime/internal/tlsfiles"
)

// logged is what was logged, for several goroutines.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) has(part string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.text.String(), part)
}

// TestPairFollowsItsFiles: new connections get the certificate that the files have, and
// the one before while the files cannot be used.
func TestPairFollowsItsFiles(t *testing.T) {
	t.Parallel()
	authority := testkit.NewAuthority(t)
	cert, key := authority.Issue("server")
	var log logged
	pair, err := tlsfiles.NewPair(tlsfiles.Files{Cert: cert, Key: key}, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", pair.Server())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() { // ends with the listener
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func(conn net.Conn) { // ends with the handshake
				_ = conn.(*tls.Conn).Handshake()
				_ = conn.Close()
			}(conn)
		}
	}()
	settings, err := tlsfiles.Files{CA: authority.File}.Client()
	if err != nil {
		t.Fatal(err)
	}
	shown := func() *x509.Certificate {
		t.Helper()
		conn, err := tls.Dial("tcp", listener.Addr().String(), settings)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0]
	}
	until := func(what string, is func() bool) {
		t.Helper()
		for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			if is() {
				return
			}
		}
		t.Fatal(what)
	}
	first := shown()
	authority.Issue("server")
	until("the new certificate is not shown", func() bool { return !shown().Equal(first) })
	second := shown()
	if err := os.WriteFile(cert, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	until("a bad file is not logged", func() bool { return shown().Equal(second) && log.has("the one before stays in use") })
	if changed, err := pair.Reload(); changed || err == nil {
		t.Errorf("reload of a bad file: %v, %v", changed, err)
	}
	authority.Issue("server")
	if changed, err := pair.Reload(); !changed || err != nil {
		t.Errorf("reload: %v, %v", changed, err)
	}
	if shown().Equal(second) {
		t.Error("the certificate before the reload is shown")
	}
}
