package rebuild_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.uber.org/goleak"

	"github.com/letswriteabook/realtime/eventstore/maintain"
	"github.com/letswriteabook/realtime/internal/testkit/logkit"
	"github.com/letswriteabook/realtime/internal/testkit/mongokit"
	"github.com/letswriteabook/realtime/messaging"
	"github.com/letswriteabook/realtime/operations/rebuild"
	"github.com/letswriteabook/realtime/projections"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(mongokit.Main(m)) }

const patience = time.Minute

// system is a log with its projections.
type system struct {
	t      testing.TB
	log    *maintain.Log
	store  *projections.Store
	db     *mongo.Database
	serial int
	live   func() // stops the live projections; nil while they do not run
}

func setup(t testing.TB) *system {
	t.Helper()
	s := &system{t: t, log: maintain.Of(logkit.Open(t, logkit.Conn(t))), db: mongokit.Database(t)}
	var err error
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
