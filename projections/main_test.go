package projections_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.uber.org/goleak"

	"github.com/letswriteabook/realtime/internal/testkit/mongokit"
	"github.com/letswriteabook/realtime/messaging"
	"github.com/letswriteabook/realtime/projections"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(mongokit.Main(m)) }

// bench is a store on a database of its own.
type bench struct {
	*projections.Store
	db       *mongo.Database
	registry *prometheus.Registry
	logs     *logLines
}

// patience bounds how long a test waits for something that must happen. All tests of the
// package share one FerretDB, which a busy machine makes slow.
const patience = 5 * time.Minute

// patient is a configuration whose time limits only a MongoDB that does not answer exceeds.
func patient() projections.Config {
	cfg := projections.DefaultConfig()
	cfg.WriteTimeout, cfg.ReadTimeout = patience, patience
	return cfg
}

func setup(t testing.TB) bench {
	t.Helper()
	b := setupAt(t, mongokit.URI(), patient())
	t.Cleanup(func() {
		if err := b.db.Drop(context.Background()); err != nil {
			t.Errorf("drop the test's database: %v", err)
		}
	})
	return b
}

func setupAt(t testing.TB, uri string, cfg projections.Config) bench {
	t.Helper()
	db, err := projections.Connect(uri)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Client().Disconnect(context.Background()) })
	b := bench{
		db:       db.Client().Database(mongokit.DatabaseName(t)),
		registry: prometheus.NewRegistry(),
		logs:     &logLines{},
	}
	logger := slog.New(slog.NewJSONHandler(b.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if b.Store, err = projections.New(b.db, cfg, logger, b.registry); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b bench) events() *mongo.Collection { return b.db.Collection("novel_job_events") }
func (b bench) heads() *mongo.Collection  { return b.db.Collection("novel_job_heads") }
func (b bench) jobs() *mongo.Collection   { return b.db.Collection("novel_jobs") }

func (b bench) insert(t testing.TB, c *mongo.Collection, docs ...any) {
	t.Helper()
	if _, err := c.InsertMany(t.Context(), docs); err != nil {
		t.Fatal(err)
	}
}

// count counts documents of jobs, which the witness is none of.
func (b bench) count(t testing.TB, c *mongo.Collection, filter bson.D) int {
	t.Helper()
	filter = append(filter, bson.E{Key: "jobId", Value: bson.D{{Key: "$exists", Value: true}}})
	n, err := c.CountDocuments(t.Context(), filter)
	if err != nil {
		t.Fatal(err)
	}
	return int(n)
}

// project runs the store until the log is applied.
func (b bench) project(t testing.TB, log *feed) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx, log) }() // stopped by cancel
	select {
	case <-log.applied:
	case <-time.After(patience):
		t.Errorf("the log was not applied in %s", patience)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
}

const epoch = "Ep0ch"

var stored = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// record returns a record as the log has it.
func record(sequence uint64, jobID string, kind messaging.Kind, body string) messaging.Record {
	at := stored.Add(time.Duration(sequence) * time.Millisecond)
	return messaging.Record{
		Position:  messaging.Position{Epoch: epoch, Sequence: sequence},
		JobID:     jobID,
		Kind:      kind,
		EmittedAt: messaging.FormatTime(at),
		StoredAt:  at,
		Body:      []byte(body),
	}
}

func generation(sequence uint64, jobID, event string) messaging.Record {
	return record(sequence, jobID, messaging.KindGeneration,
		fmt.Sprintf(`{"version":1,"kind":"generation","jobId":%q,"event":%s}`, jobID, event))
}

func status(sequence uint64, jobID, status, snapshot string) messaging.Record {
	return record(sequence, jobID, messaging.KindJobStatus,
		fmt.Sprintf(`{"version":1,"kind":"job-status","jobId":%q,"status":%q,"snapshot":%s}`, jobID, status, snapshot))
}

func chapter(n int) string {
	return fmt.Sprintf(`{"type":"chapter.delta","occurredAt":"2026-03-01T12:00:00.000Z","n":%d}`, n)
}
