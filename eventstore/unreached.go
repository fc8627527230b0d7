package eventstore

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"

	"github.com/nats-io/nats.go"
)

// The reasons for which a NATS server takes no connection. A retry helps once what the
// text names has been changed.
var (
	// ErrCredentials: the server does not say whether the user, the password or both
	// are wrong, or are missing.
	ErrCredentials = errors.New("NATS refuses the user, the password or the token of NATS_URL, or NATS_URL has none: set it to nats://USER:PASSWORD@HOST:PORT as the server has them")
	// ErrExpired: the credentials were good once.
	ErrExpired = errors.New("the credentials for NATS have expired or were revoked: issue new ones")
	// ErrPlain: the client asks for TLS, and the server has none.
	ErrPlain = errors.New("NATS_URL asks for TLS, and the server does not speak it: set it to nats://, or to the port that takes TLS")
	// ErrCertificate: the certificate of the server cannot be verified.
	ErrCertificate = errors.New("the certificate of the NATS server cannot be verified: set NATS_URL to a name that the certificate has, and let this machine trust its issuer")
	// ErrClosed: the server ends the connection before it says what it is.
	ErrClosed = errors.New("the NATS server closes the connection without an answer: look into its log, and check that NATS_URL names a NATS server and not a proxy whose server is down")
	// ErrUnreachable: there is no connection.
	ErrUnreachable = errors.New("NATS cannot be reached: start it, correct the hosts and the ports in NATS_URL, or let this machine connect to it")
)

// unreached returns why a NATS server takes no connection; nil when the error does not
// say so.
func unreached(err error) error {
	var (
		record      tls.RecordHeaderError
		certificate *tls.CertificateVerificationError
		network     *net.OpError
	)
	switch {
	case errors.Is(err, nats.ErrAuthorization):
		return ErrCredentials
	case errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAuthRevoked), errors.Is(err, nats.ErrAccountAuthExpired):
		return ErrExpired
	case errors.Is(err, nats.ErrSecureConnWanted), errors.As(err, &record):
		return ErrPlain
	case errors.As(err, &certificate):
		return ErrCertificate
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
		return ErrClosed
	case errors.Is(err, nats.ErrNoServers), errors.As(err, &network) && network.Op == "dial":
		return ErrUnreachable
	}
	return nil
}

// disconnection is why the log's connection does not stand, as far as it is known.
type disconnection struct {
	// reconnects is the number of connections before, so that a reason belongs to the
	// outage that it was found in.
	reconnects uint64
	reason     error
}

// connected returns nil while the log's connection stands, and otherwise
// [ErrUnavailable] with the reason, one of those above. The client forgets the error of
// an attempt with the next one: it is kept here until the connection stands again.
func (l *Log) connected() error {
	status := l.client.Conn.Status()
	if status == nats.CONNECTED {
		return nil
	}
	now := disconnection{l.client.Conn.Stats().Reconnects, unreached(l.client.Conn.LastError())}
	known := l.disconnection.Load()
	switch {
	case now.reason != nil && !errors.Is(now.reason, ErrUnreachable):
		l.disconnection.Store(&now)
	case known != nil && known.reconnects == now.reconnects:
		now = *known
	case status == nats.RECONNECTING && l.client.Conn.Opts.InProcessServer == nil: // which forgets why, too
		now.reason = ErrUnreachable
	}
	if now.reason != nil {
		return fmt.Errorf("%w: NATS connection is %s: %w", ErrUnavailable, status, now.reason)
	}
	return fmt.Errorf("%w: NATS connection is %s", ErrUnavailable, status)
}
