package probe_test

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/internal/probe"
	"github.com/letswriteabook/realtime/internal/testkit"
)

// A server with TLS, one without and one that closes are distinguished from each other.
func TestWhatAServerSpeaks(t *testing.T) {
	t.Parallel()
	plain := echo(t)
	for name, test := range map[string]struct {
		address    string
		tls, plain bool
	}{
		"plain":             {plain, false, true},
		"TLS":               {testkit.StartTLS(t, plain), true, false},
		"closes":            {testkit.StartClosing(t), false, false},
		"no server":         {testkit.FreeAddr(t), false, false},
		"no address at all": {"nothing", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := probe.Reached(t.Context(), nil, test.address); got != !strings.HasPrefix(name, "no ") {
				t.Errorf("reached: %v", got)
			}
			if got := probe.TLS(t.Context(), nil, test.address); got != test.tls {
				t.Errorf("TLS: %v", got)
			}
			if got := probe.Plain(t.Context(), nil, test.address, []byte("PING\r\n")); got != test.plain {
				t.Errorf("plain: %v", got)
			}
		})
	}
}

// echo runs a server that answers each line with the same line.
func echo(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
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
			go func() { // ends with the connection
				defer conn.Close()
				for lines := bufio.NewScanner(conn); lines.Scan(); {
					fmt.Fprintln(conn, lines.Text())
				}
			}()
		}
	}()
	return listener.Addr().String()
}
