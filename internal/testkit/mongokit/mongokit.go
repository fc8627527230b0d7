package mongokit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/letswriteabook/realtime/internal/devstack"
	"github.com/letswriteabook/realtime/projections"
)

var server = sync.OnceValue(func() *devstack.Mongo {
	dir, err := os.MkdirTemp("", "mongokit")
	if err != nil {
		panic(err)
	}
	server, err := devstack.StartMongo(context.Background(), devstack.MongoConfig{Addr: "127.0.0.1:0", Dir: dir})
	if err != nil {
		panic(err)
	}
	stop = func() error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		return errors.Join(server.Close(ctx), os.RemoveAll(dir))
	}
	return server
})

var stop = func() error { return nil }

// Main is for goleak.VerifyTestMain: it runs the tests and stops the server before the
// check for leaks.
func Main(m *testing.M) Stopping { return Stopping{m} }

// Stopping is the result of [Main].
type Stopping struct{ tests *testing.M }

// Run runs the tests and returns the exit code.
func (s Stopping) Run() int {
	code := s.tests.Run()
	if err := stop(); err != nil {
		fmt.Fprintln(os.Stderr, "stop FerretDB:", err)
		return 1
	}
	return code
}

// URI returns the connection string of the server, with an unused database.
func URI() string { return server().URI() }

// Database returns a database for the test, which is dropped when the test ends.
func Database(t testing.TB) *mongo.Database {
	t.Helper()
	db, err := projections.Connect(URI())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Client().Disconnect(context.Background()) })
	own := db.Client().Database(DatabaseName(t))
	t.Cleanup(func() {
		if err := own.Drop(context.Background()); err != nil {
			t.Errorf("drop the test's database: %v", err)
		}
	})
	return own
}

// DatabaseName returns the test's name in a form that MongoDB accepts for a database.
func DatabaseName(t testing.TB) string {
	name := strings.NewReplacer("/", "-", " ", "-", ".", "-", "$", "-", "\"", "-", "=", "-").Replace(t.Name())
	return name[:min(len(name), 60)]
}
