package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"
)

// Timeout bounds one probe.
const Timeout = 2 * time.Second

// Dial opens a connection without TLS.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// TLS reports whether the server at an address answers the beginning of a TLS handshake,
// even by refusing it. It sends no secret and verifies no certificate.
func TLS(ctx context.Context, dial Dial, address string) bool {
	conn, end := open(ctx, dial, address)
	if conn == nil {
		return false
	}
	defer end()
	err := tls.Client(conn, &tls.Config{InsecureSkipVerify: true}).HandshakeContext(ctx)
	var refused tls.AlertError
	var unverified *tls.CertificateVerificationError
	return err == nil || errors.As(err, &refused) || errors.As(err, &unverified)
}

// Reached reports whether a server accepts a connection at an address.
func Reached(ctx context.Context, dial Dial, address string) bool {
	conn, end := open(ctx, dial, address)
	if conn == nil {
		return false
	}
	end()
	return true
}

// Plain reports whether the server at an address answers an unencrypted request.
func Plain(ctx context.Context, dial Dial, address string, request []byte) bool {
	conn, end := open(ctx, dial, address)
	if conn == nil {
		return false
	}
	defer end()
	if _, err := conn.Write(request); err != nil {
		return false
	}
	// A TLS alert is a record of the type 21: RFC 8446, section 5.1.
	const alert = 21
	answer := make([]byte, 1)
	count, _ := conn.Read(answer)
	return count == 1 && answer[0] != alert
}

// open returns a connection with a deadline, or nil if it cannot connect.
func open(ctx context.Context, dial Dial, address string) (conn net.Conn, end func()) {
	bounded, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	conn, err := dial(bounded, "tcp", address)
	if err != nil {
		return nil, nil
	}
	deadline, _ := bounded.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		_ = conn.Close() // it is broken
		return nil, nil
	}
	return conn, func() { _ = conn.Close() }
}
