package backends_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/internal/backends"
	"github.com/letswriteabook/realtime/internal/config"
)

// The start says which database is used when the URI names none.
func TestStartSaysWhichDatabaseIsUsed(t *testing.T) {
	t.Parallel()
	for uri, said := range map[string]bool{"mongodb://127.0.0.1:1": true, "mongodb://127.0.0.1:1/novel": false} {
		var logged bytes.Buffer
		db, err := backends.MongoDB(config.Config{MongoDBURI: uri}, slog.New(slog.NewTextHandler(&logged, nil)))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(logged.String(), "database=test"); got != said {
			t.Errorf("%s: database %q, logged %q", uri, db.Name(), logged.String())
		}
		if err := db.Client().Disconnect(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
