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
)

// The reasons for which Redis takes no connection. A retry helps once what the text names
// has been changed.
var (
	// ErrPassword: the server has no such user, or the user another password.
	ErrPassword = errors.New("the Redis server refuses the user or the password of REDIS_URL: set both as the server has them")
	// ErrNoPassword: the server asks for a password.
	ErrNoPassword = errors.New("the Redis server asks for a password, and REDIS_URL has none: set it to redis://USER:PASSWORD@HOST:PORT")
	// ErrDatabase: the server does not have so many databases.
	ErrDatabase = errors.New("the Redis server has no database of the number in REDIS_URL: leave the number out, channels belong to no database")
	// ErrPlain: the client speaks TLS, and the server does not.
	ErrPlain = errors.New("REDIS_URL asks for TLS, and the server does not answer in TLS: set it to redis://, or to the port that takes TLS")
	// ErrTLS: the client does not speak TLS, and the server probably does.
	ErrTLS = errors.New("the Redis server closes the connection before it answers, as one does that takes TLS only: if it does, set REDIS_URL to rediss://")
	// ErrCertificate: the certificate of the server cannot be verified.
	ErrCertificate = errors.New("the certificate of the Redis server cannot be verified: set REDIS_URL to a name that the certificate has, and let this machine trust its issuer")
	// ErrUnreachable: there is no connection.
	ErrUnreachable = errors.New("the Redis server cannot be reached: start it, correct the host and the port in REDIS_URL, or let this machine connect to it")
)

// Explain adds to an error of a Redis client why the server takes no connection, if the
// error says so: one of the errors above. It returns any other error, and nil, as it is.
func Explain(err error) error {
	if reason := unreached(err); reason != nil && !errors.Is(err, reason) {
		return fmt.Errorf("%w (%w)", reason, err)
	}
	return err
}

// unreached returns why Redis takes no connection; nil when the error does not say so.
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

// ExplainOpening is [Explain] for the first exchange on a connection, with or without
// TLS. OpenSSL ends a connection that does not begin with a handshake, with or without an
// alert (RFC 8446, section 6), whose record begins with the bytes 21 and 3.
func ExplainOpening(err error, withTLS bool) error {
	if err == nil || withTLS {
		return Explain(err)
	}
	closed := errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
	if closed || strings.Contains(err.Error(), `can't parse`) && strings.Contains(err.Error(), `\x15\x03`) {
		return fmt.Errorf("%w (%w)", ErrTLS, err)
	}
	return Explain(err)
}

// Dialer returns the dialer of a client, with errors that say why there is no connection.
func Dialer(options *redis.Options) func(ctx context.Context, network, addr string) (net.Conn, error) {
	dial := options.Dialer
	if dial == nil { // of options that no client has been made of
		dial = redis.NewDialer(options)
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		var established *net.OpError
		// A connection that cannot be made is a net.OpError, also after its timeout.
		if options.TLSConfig != nil && errors.Is(err, context.DeadlineExceeded) && !errors.As(err, &established) {
			return nil, fmt.Errorf("%w (no answer to the handshake: %w)", ErrPlain, err)
		}
		return conn, Explain(err)
	}
}
