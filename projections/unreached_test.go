package projections_test

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/letswriteabook/realtime/internal/testkit"
	"github.com/letswriteabook/realtime/internal/testkit/mongokit"
	"github.com/letswriteabook/realtime/projections"
)

// Each reason for which MongoDB takes no connection is named as that one, and a command
// that a role does not allow is none.
func TestReasonsOfMongoDB(t *testing.T) {
	t.Parallel()
	guard := mongokit.StartGuard(t)
	target, err := url.Parse(mongokit.URI())
	if err != nil {
		t.Fatal(err)
	}
	withUser := strings.Replace(guard.URI("db"), "mongodb://", "mongodb://realtime:other@", 1) + "?authSource=admin&authMechanism=SCRAM-SHA-256"
	for _, test := range []struct {
		name, uri string
		refuse    mongokit.Refusal
		want      error
		says      string
	}{
		{"another password", withUser, mongokit.Refusal{Command: "saslStart", Code: 18, Name: "AuthenticationFailed", Text: "Authentication failed."}, projections.ErrPassword, "AuthenticationFailed"},
		{"no password", guard.URI("db"), mongokit.Refusal{Command: "find", Code: 13, Name: "Unauthorized", Text: "Command find requires authentication"}, projections.ErrNoPassword, "requires authentication"},
		{"a role that does not allow it", guard.URI("db"), mongokit.Refusal{Command: "find", Code: 13, Name: "Unauthorized", Text: "not authorized on db to execute command"}, nil, "not authorized"},
		{"TLS to a plain port", "mongodb://" + target.Host + "/db?tls=true&serverSelectionTimeoutMS=3000", mongokit.Refusal{}, projections.ErrTLS, "EOF"},
		{"no TLS to a port of TLS", "mongodb://" + testkit.StartTLS(t, target.Host) + "/db?serverSelectionTimeoutMS=3000", mongokit.Refusal{}, projections.ErrTLS, ""},
		{"a server that closes", "mongodb://" + testkit.StartClosing(t) + "/db?serverSelectionTimeoutMS=3000", mongokit.Refusal{}, projections.ErrClosed, ""},
		{"TLS to a server that closes", "mongodb://" + testkit.StartClosing(t) + "/db?tls=true&serverSelectionTimeoutMS=3000", mongokit.Refusal{}, projections.ErrClosed, ""},
		{"a port where nothing listens", "mongodb://127.0.0.1:1/db?serverSelectionTimeoutMS=500", mongokit.Refusal{}, projections.ErrUnreachable, "refused"},
	} {
		t.Run(test.name, func(t *testing.T) {
			guard.Refuse(test.refuse)
			db, err := projections.Connect(test.uri)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = db.Client().Disconnect(context.WithoutCancel(t.Context())) }()
			err = projections.Explain(t.Context(), db.Collection("c").FindOne(t.Context(), bson.D{}).Err())
			if err == nil || test.want != nil && !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%v, want %v with %q", err, test.want, test.says)
			}
			reasons := 0
			for _, reason := range []error{projections.ErrPassword, projections.ErrNoPassword, projections.ErrPlain, projections.ErrTLS, projections.ErrClosed, projections.ErrCertificate, projections.ErrOwnCertificate, projections.ErrUnreachable} {
				if errors.Is(err, reason) {
					reasons++
				}
			}
			if reasons > 1 || (reasons == 0) != (test.want == nil) {
				t.Errorf("%v has %d reasons", err, reasons)
			}
			if strings.Contains(err.Error(), "other@") {
				t.Errorf("%v shows the password", err)
			}
		})
	}
}

// Nobody who has cancelled a call waits for the connections that find out what the server
// speaks; whose deadline has passed gets the reason.
func TestReasonOfAClosedConnectionIsFoundWithinItsCall(t *testing.T) {
	t.Parallel()
	db, err := projections.Connect("mongodb://" + testkit.StartClosing(t) + "/db?serverSelectionTimeoutMS=1000")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Client().Disconnect(context.WithoutCancel(t.Context())) }()
	refused := db.Collection("c").FindOne(t.Context(), bson.D{}).Err()
	late, end := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer end()
	if err := projections.Explain(late, refused); !errors.Is(err, projections.ErrClosed) {
		t.Errorf("after the deadline: %v", err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := projections.Explain(cancelled, refused); err == nil || errors.Is(err, projections.ErrClosed) || errors.Is(err, projections.ErrUnreachable) {
		t.Errorf("once cancelled: %v", err)
	}
}
