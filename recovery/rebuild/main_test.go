package rebuild_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.uber.org/goleak"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/internal/devstack"
	"github.com/letswriteabook/realtime/internal/natsserver"
	"github.com/letswriteabook/realtime/messaging"
	"github.com/letswriteabook/realtime/projections"
	"github.com/letswriteabook/realtime/recovery/rebuild"
)

// mongoServer is one FerretDB for the package; each test has its own database.
var mongoServer = sync.OnceValue(func() *devstack.Mongo {
	dir, err := os.MkdirTemp("", "rebuild")
	if err != nil {
		panic(err)
	}
	server, err := devstack.StartMongo(context.Background(), devstack.MongoConfig{Addr: "127.0.0.1:0", Dir: dir})
	if err != nil {
		panic(err)
	}
	stopMongo = func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		return errors.Join(server.Close(ctx), os.RemoveAll(dir))
	}
	return server
})

var stopMongo = func() error { return nil }

func TestMain(m *testing.M) { goleak.VerifyTestMain(stopping{m}) }

// stopping stops the server between the last test and the look for leaks.
type stopping struct{ *testing.M }

func (s stopping) Run() int {
	code := s.M.Run()
	if err := stopMongo(); err != nil {
		fmt.Fprintln(os.Stderr, "stop FerretDB:", err)
		return 1
	}
	return code
}

const patience = time.Minute

// system is a log with its projections.
type system struct {
	t      testing.TB
	log    *eventstore.Log
	store  *projections.Store
	db     *mongo.Database
	serial int
	live   func() // stops the live projections; nil while they do not run
}

func setup(t testing.TB) *system {
	t.Helper()
	server, err := natsserver.Start(natsserver.Config{StoreDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close(context.Background()) })
	conn, err := server.Conn(eventstore.ConnOptions(nil)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	s := &system{t: t}
	if s.log, err = eventstore.Open(t.Context(), conn, eventstore.DefaultConfig(), nil, prometheus.NewRegistry()); err != nil {
		t.Fatal(err)
	}
	db, err := projections.Connect(mongoServer().URI())
	if err != nil {
		t.Fatal(err)
	}
	s.db = db.Client().Database(strings.NewReplacer("/", "-", ".", "-", "=", "-").Replace(t.Name()))
	t.Cleanup(func() {
		_ = s.db.Drop(context.Background())
		_ = db.Client().Disconnect(context.Background())
	})
	if s.store, err = projections.New(s.db, projections.DefaultConfig(), slog.New(slog.DiscardHandler), prometheus.NewRegistry()); err != nil {
		t.Fatal(err)
	}
	return s
}

// project runs the live projections until stop.
func (s *system) project() {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.store.Run(ctx, s.log) }() // stopped by s.live
	s.live = func() {
		cancel()
		if err := <-ended; err != nil {
			s.t.Errorf("Run: %v", err)
		}
		s.live = nil
	}
	s.t.Cleanup(func() {
		if s.live != nil {
			s.live()
		}
	})
}

// append stores count events of a few jobs.
func (s *system) append(count int) {
	s.t.Helper()
	for range count {
		if err := s.appendOne(s.t.Context()); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *system) appendOne(ctx context.Context) error {
	s.serial++
	_, err := s.log.Append(ctx, recordOf(s.serial, fmt.Sprint("job-", s.serial%9)))
	return err
}

// recordOf is the event of a number.
func recordOf(n int, job string) messaging.Record {
	id := fmt.Sprint("id-", n)
	record := messaging.Record{
		JobID: job, Kind: messaging.KindDomain, ID: id, MessageID: id, EmittedAt: "2025-01-02T03:04:05.678Z",
		Body: fmt.Appendf(nil, `{"version":1,"kind":"domain","jobId":%q,"id":%q,"event":{"type":"t","occurredAt":"o","n":%d}}`, job, id, n),
	}
	if n%5 == 0 {
		record.Kind = messaging.KindJobStatus
		record.Body = fmt.Appendf(nil, `{"version":1,"kind":"job-status","jobId":%q,"id":%q,"status":"running","snapshot":{"n":%d}}`, job, id, n)
	}
	return record
}

func (s *system) model(name string) *projections.Model {
	s.t.Helper()
	model, err := s.store.Model(name)
	if err != nil {
		s.t.Fatal(err)
	}
	return model
}

func (s *system) rebuild(name string) *rebuild.Rebuild { return rebuild.New(s.log, s.model(name), nil) }

// settled waits until the live projections have all that the log has.
func (s *system) settled() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	for _, name := range projections.Names() {
		for {
			state, err := s.log.ConsumerState(ctx, name)
			if err == nil && state.Pending == 0 {
				break
			}
			if ctx.Err() != nil {
				s.t.Fatalf("projection %s did not catch up: %+v, %v", name, state, err)
			}
			time.Sleep(10 * time.Millisecond) // Nothing tells.
		}
	}
}

// equal fails the test unless the collections are what the log makes of them.
func (s *system) equal() {
	s.t.Helper()
	for _, name := range projections.Names() {
		report, err := s.rebuild(name).Verify(s.t.Context(), false, 5)
		if err != nil || !report.Equal || report.Expected == 0 {
			s.t.Errorf("%s: %+v, %v", name, report, err)
		}
	}
}
