package testkit

import (
	"crypto/tls"
	"io"
	"net"
	"sync"
	"testing"
)

// StartClosing runs a server that closes each connection without an answer, and returns
// its address.
func StartClosing(t testing.TB) string {
	t.Helper()
	return serve(t, nil, func(net.Conn) {})
}

// StartTLS runs a server that accepts only TLS and forwards to a server without TLS. It
// returns its address.
func StartTLS(t testing.TB, target string) string {
	t.Helper()
	cert, key := NewAuthority(t).Issue("server")
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return serve(t, &tls.Config{Certificates: []tls.Certificate{pair}}, func(conn net.Conn) {
		if conn.(*tls.Conn).Handshake() != nil {
			return
		}
		behind, err := net.Dial("tcp", target)
		if err != nil {
			return
		}
		go func() { // ends with either connection
			defer conn.Close()
			_, _ = io.Copy(conn, behind)
		}()
		defer behind.Close()
		_, _ = io.Copy(behind, conn)
	})
}

// serve calls handle with each connection and closes it when handle returns. It stops with
// the test.
func serve(t testing.TB, secured *tls.Config, handle func(net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if secured != nil {
		listener = tls.NewListener(listener, secured)
	}
	var mu sync.Mutex // guards open and ended
	open, ended := make(map[net.Conn]struct{}), false
	var serving sync.WaitGroup
	serving.Go(func() { // ends with the listener
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			if ended {
				_ = conn.Close()
			}
			open[conn] = struct{}{}
			mu.Unlock()
			serving.Go(func() { // ends with the connection
				handle(conn)
				_ = conn.Close()
				mu.Lock()
				defer mu.Unlock()
				delete(open, conn)
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		mu.Lock()
		ended = true
		for conn := range open {
			_ = conn.Close()
		}
		mu.Unlock()
		serving.Wait()
	})
	return address
}
