package eventstore_test

import (
	"errors"
	"strings"
	"testing"

	natsd "github.com/nats-io/nats-server/v2/server"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/internal/testkit"
	"github.com/letswriteabook/realtime/internal/testkit/logkit"
)

// Each reason for which a NATS server takes no connection is named as that one.
func TestReasonsOfNATS(t *testing.T) {
	t.Parallel()
	guarded := strings.TrimPrefix(logkit.Server(t, natsd.Options{Username: "realtime", Password: "secret"}).ClientURL(), "nats://")
	open := strings.TrimPrefix(logkit.Server(t, natsd.Options{}).ClientURL(), "nats://")
	for name, test := range map[string]struct {
		url  string
		want error
	}{
		"another password":             {"nats://realtime:other@" + guarded, eventstore.ErrCredentials},
		"no user":                      {"nats://" + guarded, eventstore.ErrCredentials},
		"TLS to a plain port":          {"tls://" + open, eventstore.ErrPlain},
		"a server that closes":         {"nats://" + testkit.StartClosing(t), eventstore.ErrClosed},
		"a port where nothing listens": {"nats://127.0.0.1:1", eventstore.ErrUnreachable},
	} {
		conn, err := eventstore.Connect(t.Context(), test.url, eventstore.ConnConfig{})
		if err == nil {
			conn.Close()
		}
		if !errors.Is(err, test.want) || !errors.Is(err, eventstore.ErrConnect) || strings.Contains(err.Error(), "other") {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
}
