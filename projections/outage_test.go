package projections_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/letswriteabook/realtime/internal/devstack"
	"github.com/letswriteabook/realtime/internal/testkit"
	"github.com/letswriteabook/realtime/internal/testkit/mongokit"
	"github.com/letswriteabook/realtime/messaging"
	"github.com/letswriteabook/realtime/projections"
)

// setupBehindRelay returns a store that reaches MongoDB through a relay.
func setupBehindRelay(t testing.TB) (bench, *relay) {
	t.Helper()
	uri, err := url.Parse(mongokit.URI())
	if err != nil {
		t.Fatal(err)
	}
	line := newRelay(t, uri.Host)
	cfg := projections.DefaultConfig()
	cfg.WriteTimeout, cfg.ReadTimeout = time.Second, 300*time.Millisecond
	return setupAt(t, "mongodb://"+line.addr()+"/?heartbeatFrequencyMS=500", cfg), line
}

// connected waits for a first answer within the short time limit, which also takes
// the time of connecting.
func (b bench) connected(t testing.TB) {
	t.Helper()
	eventually(t, "a connection", func() bool { return b.Ping(t.Context()) == nil })
}

// eventually waits for something that gives no signal.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in %s: %s", patience, what)
		}
	}
}

func TestMongoComesLater(t *testing.T) {
	t.Parallel()
	addr := testkit.FreeAddr(t)
	cfg := projections.DefaultConfig()
	cfg.WriteTimeout, cfg.ReadTimeout = 2*time.Second, 2*time.Second // a batch that takes longer is an outage of its own
	b := setupAt(t, "mongodb://"+addr, cfg)
	if err := b.Ping(t.Context()); !errors.Is(err, projections.ErrUnavailable) {
		t.Errorf("Ping without MongoDB: %v", err)
	}

	log := newFeed(status(1, "j", "running", `1`))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx, log) }() // stopped by cancel
	eventually(t, "a batch in vain", func() bool { return log.failures.Load() > 2 })
	b.checkMetric(t, "realtime_projections_up", `projection="history"`, 0)

	mongo, err := devstack.StartMongo(t.Context(), devstack.MongoConfig{Addr: addr, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-log.applied:
	case <-time.After(patience):
		t.Fatalf("not applied in %s", patience)
	}
	b.connected(t)
	eventually(t, "the indexes", func() bool { return len(indexNames(t, b)) == 5 })
	for _, name := range []string{"idx_novel_job_events_jobId_emittedAt", "idx_novel_job_events_kind_emittedAt", "idx_novel_job_events_jobId_sequence", "idx_novel_job_events_sequence_id"} {
		if !strings.Contains(strings.Join(indexNames(t, b), " "), name) {
			t.Errorf("there is no index %s", name)
		}
	}
	eventually(t, "both projections are well", func() bool { return strings.Count(b.logs.String(), "takes a projection's batches again") >= 2 })
	b.checkMetric(t, "realtime_projections_up", `projection="history"`, 1)
	for _, line := range []string{"does not take a projection's batches", "takes a projection's batches again"} {
		if n := strings.Count(b.logs.String(), line); n != 2 {
			t.Errorf("%q was logged %d times, want once a projection", line, n)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
	_ = b.db.Client().Disconnect(context.Background())
	if err := mongo.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

func indexNames(t testing.TB, b bench) []string {
	t.Helper()
	specs, err := b.events().Indexes().ListSpecifications(t.Context())
	if err != nil {
		return nil // not made yet
	}
	var names []string
	for _, spec := range specs {
		names = append(names, spec.Name)
	}
	return names
}

// TestIndexesThatAreThere starts twice, and once beside somebody else's index.
func TestIndexesThatAreThere(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := b.events().Indexes().CreateOne(t.Context(), mongo.IndexModel{
		Keys: bson.D{{Key: "jobId", Value: 1}, {Key: "emittedAt", Value: -1}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		before := strings.Count(b.logs.String(), "has the indexes")
		go func() { done <- b.Run(ctx, newFeed()) }() // stopped by cancel
		eventually(t, "the indexes", func() bool { return strings.Count(b.logs.String(), "has the indexes") > before })
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
	if names := indexNames(t, b); len(names) != 5 {
		t.Errorf("indexes %v", names)
	}
}

// TestKilledBetweenWriteAndAnswer breaks the line when MongoDB has the batch and
// the store does not know.
func TestKilledBetweenWriteAndAnswer(t *testing.T) {
	t.Parallel()
	b, line := setupBehindRelay(t)
	direct := setup(t)
	var records []messaging.Record
	for i := range 50 {
		records = append(records, status(uint64(i+1), fmt.Sprint("job-", i%5), "running", chapter(i)))
	}
	b.connected(t) // before the answers stop
	log := newFeed(records...)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	line.set(false, true)
	go func() { done <- b.Run(ctx, log) }() // stopped by cancel
	eventually(t, "a batch written and not answered", func() bool {
		return log.failures.Load() > 0 && direct.count(t, direct.events(), bson.D{}) == len(records)
	})
	line.set(false, false)
	select {
	case <-log.applied:
	case <-time.After(patience):
		t.Errorf("not applied in %s", patience)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
	if n := direct.count(t, direct.events(), bson.D{}); n != len(records) {
		t.Errorf("%d documents, want %d", n, len(records))
	}
	if n := direct.count(t, direct.events(), bson.D{{Key: "raw", Value: bson.D{{Key: "$exists", Value: true}}}}); n != 0 {
		t.Errorf("%d documents were reduced by an outage", n)
	}
	if n := direct.count(t, direct.heads(), bson.D{}); n != 5 {
		t.Errorf("%d heads, want 5", n)
	}
}

func TestReadsWithoutMongo(t *testing.T) {
	t.Parallel()
	b, line := setupBehindRelay(t)
	b.connected(t)
	line.set(true, false)
	at := messaging.Position{Epoch: epoch}
	for name, read := range map[string]func(context.Context) error{
		"ReadAfter":  func(ctx context.Context) error { _, err := b.ReadAfter(ctx, "j", at, 9); return err },
		"ReadBefore": func(ctx context.Context) error { _, err := b.ReadBefore(ctx, "j", at, 9); return err },
		"Locate":     func(ctx context.Context) error { _, err := b.Locate(ctx, "j", at, 9); return err },
		"FindLegacy": func(ctx context.Context) error { _, err := b.FindLegacy(ctx, "j", 9); return err },
		"ReadLegacy": func(ctx context.Context) error { _, _, err := b.ReadLegacy(ctx, "j", []string{objectName}); return err },
		"Head":       func(ctx context.Context) error { _, _, err := b.Head(ctx, "j"); return err },
		"Ping":       b.Ping,
	} {
		start := time.Now()
		if err := read(t.Context()); !errors.Is(err, projections.ErrUnavailable) {
			t.Errorf("%s: %v, want ErrUnavailable", name, err)
		}
		// The driver itself would look for a server for half a minute.
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("%s took %s", name, took)
		}
	}
	line.set(false, false)
	eventually(t, "MongoDB again", func() bool { _, err := b.FindLegacy(t.Context(), "j", 9); return err == nil })
}

// TestReadsOfASlowMongo: what a caller will not wait for ends when the caller says,
// and the answers that come later are nobody else's.
func TestReadsOfASlowMongo(t *testing.T) {
	t.Parallel()
	uri, err := url.Parse(mongokit.URI())
	if err != nil {
		t.Fatal(err)
	}
	line := newRelay(t, uri.Host)
	cfg := projections.DefaultConfig()
	cfg.ReadTimeout = 10 * time.Minute // the caller's deadline decides
	b := setupAt(t, "mongodb://"+line.addr(), cfg)
	b.project(t, newFeed(status(1, "j", "running", `1`), status(2, "j", "running", `2`)))
	at := messaging.Position{Epoch: epoch}
	quicken := line.slowDown()
	defer quicken()
	for name, read := range map[string]func(context.Context) error{
		"ReadAfter":  func(ctx context.Context) error { _, err := b.ReadAfter(ctx, "j", at, 9); return err },
		"ReadBefore": func(ctx context.Context) error { _, err := b.ReadBefore(ctx, "j", at, 9); return err },
		"ReadLegacy": func(ctx context.Context) error { _, _, err := b.ReadLegacy(ctx, "j", []string{objectName}); return err },
		"Head":       func(ctx context.Context) error { _, _, err := b.Head(ctx, "j"); return err },
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		if err := read(ctx); !errors.Is(err, projections.ErrUnavailable) {
			t.Errorf("%s: %v, want ErrUnavailable", name, err)
		}
		cancel()
	}
	quicken()
	records, err := b.ReadAfter(t.Context(), "j", at, 9)
	if err != nil || len(records) != 2 || records[0].Sequence != 1 {
		t.Errorf("%d records, %v", len(records), err)
	}
}

func TestOutageOrRefusal(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		err  error
		want bool
	}{
		"time limit":          {context.DeadlineExceeded, true},
		"stopped":             {fmt.Errorf("insert: %w", context.Canceled), true},
		"disconnected":        {mongo.ErrClientDisconnected, true},
		"network":             {mongo.CommandError{Labels: []string{"NetworkError"}}, true},
		"retryable":           {mongo.CommandError{Labels: []string{"RetryableWriteError"}}, true},
		"no primary":          {mongo.CommandError{Code: 10107}, true},
		"no rights":           {mongo.CommandError{Code: 13}, true},
		"disk full":           {mongo.BulkWriteException{WriteErrors: []mongo.BulkWriteError{{WriteError: mongo.WriteError{Code: 14031}}}}, true},
		"no majority":         {mongo.BulkWriteException{WriteConcernError: &mongo.WriteConcernError{Code: 1}}, true},
		"no majority for one": {mongo.WriteException{WriteConcernError: &mongo.WriteConcernError{Code: 1}}, true},
		"validator":           {mongo.WriteException{WriteErrors: mongo.WriteErrors{{Code: 121}}}, false},
		"too large":           {mongo.CommandError{Code: 10334}, false},
		"no BSON":             {mongo.MarshalError{Err: errors.New("x")}, false},
		"anything":            {errors.New("x"), false},
	} {
		if got := projections.IsOutage(test.err); got != test.want {
			t.Errorf("%s: %v is an outage: %t, want %t", name, test.err, got, test.want)
		}
	}
}
