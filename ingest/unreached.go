package ingest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9"

	"github.com/letswriteabook/realtime/internal/probe"
)

// Reasons why Redis accepts no connection. A retry helps once the named cause is corrected.
var (
	// ErrPassword: the server does not have the user, or the user has another password.
	ErrPassword = errors.New("the Redis server refuses the user or the password of REDIS_URL: correct them")
	// ErrNoPassword: the server asks for a password.
	ErrNoPassword = errors.New("the Redis server asks for a password, and REDIS_URL has none: set it to redis://USER:PASSWORD@HOST:PORT")
	// ErrDatabase: the server has no database of this number.
	ErrDatabase = errors.New("the Redis server has no database of the number in REDIS_URL: leave the number out, channels belong to no database")
	// ErrPlain: the client uses TLS and the server does not.
	ErrPlain = errors.New("REDIS_URL asks for TLS, and the server does not answer in TLS: set it to redis://, or to the port that takes TLS")
	// ErrTLS: the client does not use TLS and the server requires it.
	ErrTLS = errors.New("the Redis server takes TLS only, and REDIS_URL asks for a connection without TLS: set it to rediss://, or to a port without TLS")
	// ErrClosed: the server closes the connection, and the cause is not a TLS setting.
	ErrClosed = errors.New("the Redis server closes the connection without an answer: look into its log, and check that REDIS_URL names a Redis server and not a proxy whose server is down")
	// ErrCertificate: the certificate of the server cannot be verified.
	ErrCertificate = errors.New("the certificate of the Redis server cannot be verified: set REDIS_URL to a name that the certificate has, and let this machine trust its issuer")
	// ErrUnreachable: no connection can be made.
	ErrUnreachable = errors.New("the Redis server cannot be reached: start it, correct the host and the port in REDIS_URL, or let this machine connect to it")
)

// explain adds to an error of a Redis client the reason why the server accepts no
// connection, one of the errors above, if the error shows it. It returns other errors, and
// nil, unchanged.
func explain(err error) error {
	if reason := unreached(err); reason != nil && !errors.Is(err, reason) {
		return fmt.Errorf("%w (%w)", reason, err)
	}
	return err
}

// unreached returns why Redis accepts no connection; nil if the error does not show it.
func unreached(err error) error {
	var refused redis.Error
	if errors.As(err, &refused) {
		switch {
		case redis.HasErrorPrefix(err, "WRONGPASS"), redis.HasErrorPrefix(err, "invalid password"):
			return ErrPassword
		case redis.IsAuthError(err):
			return ErrNoPassword
		case redis.HasErrorPrefix(err, "DB index is out of range"):
			return ErrDatabase
		}
		return nil
	}
	var (
		record      tls.RecordHeaderError
		certificate *tls.CertificateVerificationError
		network     *net.OpError
	)
	switch {
	case errors.As(err, &record):
		return ErrPlain
	case errors.As(err, &certificate):
		return ErrCertificate
	case errors.As(err, &network) && network.Op == "dial":
		return ErrUnreachable
	}
	return nil
}

// ExplainOpening adds to an error of the first exchange on a connection of a client with
// these options the reason why the server accepts no connection, one of the errors above,
// if the reason can be found. OpenSSL closes a connection that does not begin with a
// handshake, with or without an alert (RFC 8446, section 6), whose record begins with the
// bytes 21 and 3. If there is no alert, ExplainOpening connects once more to test whether
// the server speaks TLS.
func ExplainOpening(ctx context.Context, err error, options *redis.Options) error {
	if err == nil {
		return nil
	}
	withTLS := options.TLSConfig != nil
	alert := strings.Contains(err.Error(), `can't parse`) && strings.Contains(err.Error(), `\x15\x03`)
	switch {
	case !withTLS && (alert || isClosed(err) && probe.TLS(ctx, options.Dialer, options.Addr)):
		return fmt.Errorf("%w (%w)", ErrTLS, err)
	case isClosed(err) && unreached(err) == nil:
		if !probe.Reached(ctx, options.Dialer, options.Addr) { // it has stopped
			return fmt.Errorf("%w (%w)", ErrUnreachable, err)
		}
		return fmt.Errorf("%w (%w)", ErrClosed, err)
	}
	return explain(err)
}

// isClosed reports whether the server has closed the connection.
func isClosed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// Dialer returns the dialer of a client, whose errors say why no connection can be made.
func Dialer(options *redis.Options) func(ctx context.Context, network, addr string) (net.Conn, error) {
	dial := options.Dialer
	if dial == nil { // the options have not been used for a client
		dial = redis.NewDialer(options)
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		var established *net.OpError
		// A failure to connect is a net.OpError, even after a timeout.
		if options.TLSConfig != nil && errors.Is(err, context.DeadlineExceeded) && !errors.As(err, &established) {
			return nil, fmt.Errorf("%w (no answer to the handshake: %w)", ErrPlain, err)
		}
		// The handshake was cut off, by a server that does not speak TLS or by another one.
		if options.TLSConfig != nil && isClosed(err) {
			if probe.Plain(ctx, nil, addr, []byte("PING\r\n")) {
				return nil, fmt.Errorf("%w (the handshake: %w)", ErrPlain, err)
			}
			return nil, fmt.Errorf("%w (the handshake: %w)", ErrClosed, err)
		}
		return conn, explain(err)
	}
}
