package backends

import (
	"errors"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/ingest"
	"github.com/letswriteabook/realtime/projections"
)

// Reason is why a backend takes no connection: the cause in a metric.
type Reason string

// The reasons.
const (
	ReasonCredentials Reason = "credentials" // the user or the password: wrong, missing or expired
	ReasonTLS         Reason = "tls"         // TLS on one side only, or a certificate
	ReasonDatabase    Reason = "database"    // the number of a database
	ReasonClosed      Reason = "closed"      // the server ends the connection without an answer
	ReasonUnreachable Reason = "unreachable" // there is no connection at all
)

// Reasons returns every reason there can be.
func Reasons() []Reason {
	return []Reason{ReasonCredentials, ReasonTLS, ReasonDatabase, ReasonClosed, ReasonUnreachable}
}

// reasons are the errors of the packages that speak to the backends.
var reasons = map[Reason][]error{
	ReasonCredentials: {
		ingest.ErrPassword, ingest.ErrNoPassword, eventstore.ErrCredentials, eventstore.ErrExpired, projections.ErrPassword, projections.ErrNoPassword,
	},
	ReasonTLS: {
		ingest.ErrPlain, ingest.ErrTLS, ingest.ErrCertificate, eventstore.ErrPlain, eventstore.ErrCertificate,
		projections.ErrPlain, projections.ErrTLS, projections.ErrCertificate, projections.ErrOwnCertificate,
	},
	ReasonDatabase:    {ingest.ErrDatabase},
	ReasonClosed:      {ingest.ErrClosed, eventstore.ErrClosed, projections.ErrClosed},
	ReasonUnreachable: {ingest.ErrUnreachable, eventstore.ErrUnreachable, projections.ErrUnreachable},
}

// ReasonOf returns why the backend that an error is of takes no connection, empty when the
// error does not say so.
func ReasonOf(err error) Reason {
	for _, reason := range Reasons() {
		for _, target := range reasons[reason] {
			if errors.Is(err, target) {
				return reason
			}
		}
	}
	return ""
}
