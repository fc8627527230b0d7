package erasure_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.uber.org/goleak"

	"github.com/letswriteabook/realtime/eventstore/archive"
	"github.com/letswriteabook/realtime/eventstore/audit"
	"github.com/letswriteabook/realtime/eventstore/maintain"
	"github.com/letswriteabook/realtime/internal/testkit/logkit"
	"github.com/letswriteabook/realtime/internal/testkit/mongokit"
	"github.com/letswriteabook/realtime/messaging"
	"github.com/letswriteabook/realtime/operations/backup"
	"github.com/letswriteabook/realtime/operations/erasure"
	"github.com/letswriteabook/realtime/projections"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(mongokit.Main(m)) }

const (
	job      = "job of j. doe"
	patience = time.Minute
)

// system is a log with its projections running.
type system struct {
	t       testing.TB
	log     *maintain.Log
	conn    *nats.Conn
	archive *archive.Archive
	store   *projections.Store
	db      *mongo.Database
	serial  int
	// hold, when set, keeps the projections from writing until it is closed; held
	// tells when one is kept.
	mu   sync.Mutex // guards hold
	hold chan struct{}
	held chan struct{}
}

func setup(t testing.TB) *system {
	t.Helper()
	conn := logkit.Conn(t)
	s := &system{t: t, conn: conn, log: maintain.Of(logkit.Open(t, conn)), db: mongokit.Database(t), held: make(chan struct{}, 16)}
	var err error
	if s.archive, err = archive.New(conn, ""); err != nil {
		t.Fatal(err)
	}
	if s.store, err = projections.New(s.db, projections.DefaultConfig(), slog.New(slog.DiscardHandler), prometheus.NewRegistry()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.store.Run(ctx, feed{s}) }() // stopped by cancel
	t.Cleanup(func() {
		s.keep(nil)
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return s
}

// feed is the log of the projections, with a gate before what they write.
type feed struct{ s *system }

func (f feed) ConsumerFresh(ctx context.Context, consumer string) (bool, error) {
	return f.s.log.ConsumerFresh(ctx, consumer)
}

func (f feed) Consume(ctx context.Context, consumer string, maxBatch int, apply func(context.Context, []messaging.Record) error) error {
	return f.s.log.Consume(ctx, consumer, maxBatch, func(ctx context.Context, records []messaging.Record) error {
		f.s.mu.Lock()
		hold := f.s.hold
		f.s.mu.Unlock()
		if hold != nil {
			f.s.held <- struct{}{}
			<-hold
		}
		return apply(ctx, records)
	})
}

// keep sets the gate, and opens the one that was there.
func (s *system) keep(hold chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hold != nil {
		close(s.hold)
	}
	s.hold = hold
}

// append stores count events of the job, and as many of another.
func (s *system) append(count int) {
	s.t.Helper()
	for range count {
		for _, name := range []string{job, "another"} {
			s.serial++
			id := fmt.Sprint("id-", s.serial)
			kind, body := messaging.KindDomain, `"event":{"type":"t","occurredAt":"o"}`
			if s.serial%4 < 2 {
				kind, body = messaging.KindJobStatus, `"status":"running"`
			}
			record := messaging.Record{
				JobID: name, Kind: kind, ID: id, MessageID: id, EmittedAt: "2025-01-02T03:04:05.678Z",
				Body: fmt.Appendf(nil, `{"version":1,"kind":%q,"jobId":%q,"id":%q,%s}`, kind, name, id, body),
			}
			if _, err := s.log.Append(s.t.Context(), record); err != nil {
				s.t.Fatal(err)
			}
		}
	}
}

// refuse stores a dead letter.
func (s *system) refuse(body string) {
	s.t.Helper()
	letter := messaging.DeadLetter{Reason: messaging.ReasonInvalidJSON, At: time.Now(), Body: []byte(body)}
	if err := s.log.DeadLetter(s.t.Context(), letter); err != nil {
		s.t.Fatal(err)
	}
}

// settled waits until the projections have all that the log has.
func (s *system) settled() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	for _, name := range projections.Names() {
		for {
			state, err := s.log.ConsumerState(ctx, name)
			if err == nil && state.Pending == 0 && !state.Paused {
				break
			}
			if ctx.Err() != nil {
				s.t.Fatalf("projection %s did not catch up: %+v, %v", name, state, err)
			}
			time.Sleep(10 * time.Millisecond) // Nothing tells.
		}
	}
}

// die is handed a record of a projection, and never heard of again.
func (s *system) die(projection string) {
	s.t.Helper()
	js, err := jetstream.New(s.conn)
	if err != nil {
		s.t.Fatal(err)
	}
	consumer, err := js.Consumer(s.t.Context(), "NOVEL_EVENTS", projection)
	if err != nil {
		s.t.Fatal(err)
	}
	if msg, err := consumer.Next(); err != nil {
		s.t.Fatal(err)
	} else if meta, err := msg.Metadata(); err != nil || meta.Sequence.Stream < 2 {
		s.t.Fatalf("handed %+v, %v", meta, err)
	}
}

// insert puts a document into a collection.
func (s *system) insert(collection string, document bson.D) {
	s.t.Helper()
	if _, err := s.db.Collection(collection).InsertOne(s.t.Context(), document); err != nil {
		s.t.Fatal(err)
	}
}

// count returns how many documents of a job a collection has.
func (s *system) count(collection, jobID string) int64 {
	s.t.Helper()
	count, err := s.db.Collection(collection).CountDocuments(s.t.Context(), bson.D{{Key: "jobId", Value: jobID}})
	if err != nil {
		s.t.Fatal(err)
	}
	return count
}

// config is of an eraser on the system.
func (s *system) config() erasure.Config {
	return erasure.Config{Log: s.log, Audit: audit.Beside(s.log.Client()), Models: s.store, Manifests: backup.Notes{}, OverwriteAtMost: erasure.DefaultOverwriteAtMost}
}

// gone fails the test if anything of the job up to now is left, or anything of the
// other job is missing.
func (s *system) gone(events int) {
	s.t.Helper()
	s.settled()
	if count, err := s.log.CountJob(s.t.Context(), job); err != nil || count != 0 {
		s.t.Errorf("the log has %d records, %v", count, err)
	}
	for _, name := range []string{"novel_job_events", "novel_job_events_shadow", "novel_job_events_old_20260101t000000000", "novel_job_heads"} {
		if count := s.count(name, job); count != 0 {
			s.t.Errorf("%s has %d documents", name, count)
		}
	}
	if count := s.count("novel_jobs", job); count != 1 {
		s.t.Errorf("the workers' collection has %d documents", count)
	}
	others, err := s.log.CountJob(s.t.Context(), "another")
	if err != nil || others != uint64(events) || s.count("novel_job_events", "another") != int64(events) || s.count("novel_job_heads", "another") != 1 {
		s.t.Errorf("of the other job are left %d records, %d documents, %d heads; %v",
			others, s.count("novel_job_events", "another"), s.count("novel_job_heads", "another"), err)
	}
}
