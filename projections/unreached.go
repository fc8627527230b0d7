package projections

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/topology"

	"github.com/letswriteabook/realtime/internal/probe"
)

// The reasons for which MongoDB takes no connection, or no command on one. A retry helps
// once what the text names has been changed.
var (
	// ErrPassword: the server has no such user, or the user another password.
	ErrPassword = errors.New("MongoDB refuses the user or the password of MONGODB_URI: set both as the server has them, and authSource to the database that the user is in")
	// ErrNoPassword: the server asks for a user.
	ErrNoPassword = errors.New("MongoDB asks for a user and a password, and MONGODB_URI has none: set it to mongodb://USER:PASSWORD@HOST:PORT/DATABASE")
	// ErrPlain: the client speaks TLS, and the server does not.
	ErrPlain = errors.New("MONGODB_URI asks for TLS, and the server does not answer in TLS: set tls=false, or the port that takes TLS")
	// ErrTLS: one side speaks TLS, and the other does not.
	ErrTLS = errors.New("only one side speaks TLS, and MongoDB closes the connection: set tls=true or tls=false in MONGODB_URI as the server has it")
	// ErrClosed: the server ends the connection, and no setting of TLS is the reason.
	ErrClosed = errors.New("MongoDB closes the connection without an answer: look into its log, and check that MONGODB_URI names a MongoDB server and not a proxy whose server is down")
	// ErrCertificate: the certificate of the server cannot be verified.
	ErrCertificate = errors.New("the certificate of the MongoDB server cannot be verified: set MONGODB_URI to a name that the certificate has, and let this machine trust its issuer, or set tlsCAFile")
	// ErrOwnCertificate: the server refuses this client's certificate, or that there is none.
	ErrOwnCertificate = errors.New("the MongoDB server ends the connection because of the certificate of this client: set tlsCertificateKeyFile in MONGODB_URI to a file with a certificate that the server trusts, and its key")
	// ErrUnreachable: there is no connection.
	ErrUnreachable = errors.New("MongoDB cannot be reached: start it, correct the hosts and the ports in MONGODB_URI, or let this machine connect to it")
)

// MongoDB's codes for what is wrong with a user; 8000 is of its hosted service.
const (
	codeUnauthorized         = 13
	codeAuthenticationFailed = 18
	codeHostedService        = 8000
)

// Explain adds to an error of the driver why the server takes no connection, if the error
// says so: one of the errors above. It returns any other error, and nil, as it is. To find
// out what a server speaks that closes connections it may connect three times, for
// twice probe.Timeout at most; it ends when ctx is cancelled, and not at the deadline of ctx,
// which is often what has ended the driver's attempts.
func Explain(ctx context.Context, err error) error {
	if reason := unreached(ctx, err); reason != nil && !errors.Is(err, reason) {
		return fmt.Errorf("%w (%w)", reason, err)
	}
	return err
}

// unreached returns why MongoDB takes no connection; nil when the error does not say so.
func unreached(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	code, text := refusal(err)
	switch {
	case code == codeAuthenticationFailed, code == codeHostedService && strings.Contains(text, "auth"):
		return ErrPassword
	case code == codeUnauthorized && strings.Contains(text, "requires authentication"):
		return ErrNoPassword
	case code != 0:
		return nil
	}
	var (
		record      tls.RecordHeaderError
		certificate *tls.CertificateVerificationError
		network     *net.OpError
		selection   topology.ServerSelectionError
	)
	switch {
	case errors.As(err, &record):
		return ErrPlain
	case errors.As(err, &certificate):
		return ErrCertificate
	case errors.As(err, &network) && network.Op == "dial":
		return ErrUnreachable
	case errors.As(err, &network) && network.Op == "remote error": // an alert of TLS
		return ErrOwnCertificate
	case errors.As(err, &selection):
		// No server could be chosen: what happened with each says why.
		for _, server := range selection.Desc.Servers {
			if reason := unreached(ctx, server.LastError); reason != nil {
				return reason
			}
			if errors.Is(server.LastError, io.EOF) || errors.Is(server.LastError, syscall.ECONNRESET) {
				return closedBy(ctx, server.Addr.String())
			}
		}
	}
	return nil
}

// closedBy returns why a server closes connections without an answer; nil when ctx was
// cancelled before that was found out.
func closedBy(ctx context.Context, address string) error {
	asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*probe.Timeout)
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		if errors.Is(ctx.Err(), context.Canceled) {
			cancel()
		}
	})()
	reason := ErrClosed
	switch {
	case !probe.Reached(asking, nil, address): // it has stopped
		reason = ErrUnreachable
	// The driver does not say which of the two it has tried: a server speaks one of them.
	case probe.TLS(asking, nil, address) || probe.Plain(asking, nil, address, hello()):
		reason = ErrTLS
	}
	if errors.Is(asking.Err(), context.Canceled) {
		return nil
	}
	return reason
}

// hello returns the first message of a client: an OP_MSG of the wire protocol of MongoDB,
// with one document.
//
//	length, request, response, opcode 2013: 4 bytes each │ flags: 4 bytes │ 0 │ document
func hello() []byte {
	const opMsg = 2013
	document, err := bson.Marshal(bson.D{{Key: "hello", Value: 1}, {Key: "$db", Value: "admin"}})
	if err != nil {
		panic(err) // two fields that are always the same
	}
	message := make([]byte, 21, 21+len(document))
	binary.LittleEndian.PutUint32(message, uint32(21+len(document)))
	binary.LittleEndian.PutUint32(message[4:], 1)
	binary.LittleEndian.PutUint32(message[12:], opMsg)
	return append(message, document...)
}

// refusal returns the code and the text of an answer of the server; 0 when err is none.
func refusal(err error) (code int, text string) {
	var command mongo.CommandError
	if errors.As(err, &command) {
		return int(command.Code), command.Message
	}
	var inner driver.Error // of a handshake
	if errors.As(err, &inner) {
		return int(inner.Code), inner.Message
	}
	return 0, ""
}
