package eventstore_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/internal/natsserver"
	"github.com/letswriteabook/realtime/messaging"
)

// The acknowledgement of a batch names the last sequence alone: the others have to be
// the ones right before it, whoever else appends at the same time.
func TestSequencesOfABatchFollowOneAnother(t *testing.T) {
	t.Parallel()
	for _, always := range []bool{true, false} {
		t.Run(fmt.Sprint("sync=", always), func(t *testing.T) {
			t.Parallel()
			conn, err := startServer(t, natsserver.Config{SyncAlways: always}).Conn(eventstore.ConnOptions(nil)...)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(conn.Close)
			requireSequences(t, []*eventstore.Log{open(t, conn).log})
		})
	}
}

// requireSequences appends in batches and one by one at the same time, and requires that
// each record stands at the sequence of its receipt.
func requireSequences(t *testing.T, logs []*eventstore.Log) {
	t.Helper()
	const batches, size = 6, 40
	var mu sync.Mutex // guards expected
	expected := make(map[uint64]string)
	note := func(records []messaging.Record, receipts []messaging.Receipt) {
		mu.Lock()
		defer mu.Unlock()
		for n, receipt := range receipts {
			if receipt.Duplicate || receipt.ID != records[n].ID || receipt.JobID != records[n].JobID || expected[receipt.Sequence] != "" {
				t.Errorf("receipt %+v of %s, sequence of %q", receipt, records[n].ID, expected[receipt.Sequence])
			}
			expected[receipt.Sequence] = records[n].ID
		}
	}
	var appending sync.WaitGroup
	for n, log := range append(logs, logs...) {
		appending.Go(func() {
			for range batches {
				var records []messaging.Record
				for i := range size {
					records = append(records, record(fmt.Sprint("batch-", n, "-", i%3), "x"))
				}
				receipts, err := log.AppendBatch(t.Context(), records)
				if err != nil {
					t.Errorf("append a batch: %v", err)
					return
				}
				note(records, receipts)
			}
		})
		appending.Go(func() {
			for range size {
				single := record(fmt.Sprint("single-", n), "x")
				receipt, err := log.Append(t.Context(), single)
				if err != nil {
					t.Errorf("append: %v", err)
					return
				}
				note([]messaging.Record{single}, []messaging.Receipt{receipt})
			}
		})
	}
	appending.Wait()
	// Any replica answers a read, also one that lacks the newest records for a moment.
	eventually(t, "a record for each receipt", func() bool {
		found := 0
		for n := range 2 * len(logs) {
			for _, job := range []string{fmt.Sprint("single-", n), fmt.Sprint("batch-", n, "-0"), fmt.Sprint("batch-", n, "-1"), fmt.Sprint("batch-", n, "-2")} {
				records, err := logs[0].ReadAfter(t.Context(), job, 0, batches*size)
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range records {
					if expected[r.Sequence] != r.ID {
						t.Errorf("sequence %d has %s, and its receipt says %q", r.Sequence, r.ID, expected[r.Sequence])
					}
				}
				found += len(records)
			}
		}
		if found > len(expected) {
			t.Fatalf("%d records, %d receipts", found, len(expected))
		}
		return found == len(expected)
	})
}

func TestBatchIsStoredWhole(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.add(t, withID("a", "1", "x"))
	head, err := b.log.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, records := range map[string][]messaging.Record{
		"an id that the log has": {record("b", "x"), withID("a", "1", "x"), record("c", "x")},
		"one id twice":           {withID("b", "2", "x"), withID("b", "2", "x")},
		"no kind":                {record("b", "x"), {JobID: "a", MessageID: "3"}},
		"too many":               make([]messaging.Record, b.log.MaxBatch()+1),
	} {
		for n := range records {
			if records[n].JobID == "" {
				records[n] = record("many", "x")
			}
		}
		_, err := b.log.AppendBatch(t.Context(), records)
		var refused interface{ BatchRefused() bool }
		if !errors.Is(err, eventstore.ErrBatchRefused) || !errors.As(err, &refused) || !refused.BatchRefused() {
			t.Errorf("%s: %v, want a refusal", name, err)
		}
		if now, err := b.log.Head(t.Context()); err != nil || now != head {
			t.Errorf("%s: the log ends at %d, want %d, %v", name, now, head, err)
		}
	}
	// The same records by themselves, and a batch after the refusals.
	b.add(t, withID("b", "2", "x"))
	receipts, err := b.log.AppendBatch(t.Context(), []messaging.Record{record("b", "x"), record("b", "y")})
	if err != nil || receipts[0].Sequence != head+2 || receipts[1].Sequence != head+3 {
		t.Errorf("receipts %+v, %v", receipts, err)
	}
}

// What is known to be in the log is answered as a duplicate, and the rest is stored.
func TestBatchLeavesOutKnownIDs(t *testing.T) {
	t.Parallel()
	b := setup(t)
	stored := b.add(t, withID("a", "1", "x"), withID("b", "1", "y"))
	known := b.log.KnowIDs(1000)
	ended := make(chan error, 1)
	go func() { ended <- known.Run(t.Context()) }() // ends with the test
	eventually(t, "the ids", known.Loaded)
	fresh := record("a", "z")
	receipts, err := b.log.AppendBatch(t.Context(), []messaging.Record{withID("a", "1", "x"), fresh, withID("b", "1", "y")})
	if err != nil {
		t.Fatal(err)
	}
	want := []messaging.Receipt{
		{ID: "1", JobID: "a", Sequence: stored[0], Duplicate: true},
		{ID: fresh.ID, JobID: "a", Sequence: stored[1] + 1},
		{ID: "1", JobID: "b", Sequence: stored[1], Duplicate: true},
	}
	for n := range want {
		if receipts[n] != want[n] {
			t.Errorf("receipt %+v, want %+v", receipts[n], want[n])
		}
	}
	_, err = b.log.AppendBatch(t.Context(), []messaging.Record{record("c", "x"), withID("a", "1", "another body")})
	if !errors.Is(err, eventstore.ErrBatchRefused) || !errors.Is(err, eventstore.ErrIDConflict) {
		t.Errorf("a conflict: %v", err)
	}
}

// A stream that was created without batches gets them at the start of a gateway. One
// that loses them meanwhile is written to record by record.
func TestStreamIsGivenBatches(t *testing.T) {
	t.Parallel()
	b := setup(t)
	edit := func(allow bool) {
		t.Helper()
		stream, err := b.js.Stream(t.Context(), "NOVEL_EVENTS")
		if err != nil {
			t.Fatal(err)
		}
		config := stream.CachedInfo().Config
		config.AllowAtomicPublish = allow
		if _, err := b.js.UpdateStream(t.Context(), config); err != nil {
			t.Fatal(err)
		}
	}
	edit(false)
	records := []messaging.Record{record("a", "x"), record("a", "y")}
	if _, err := b.log.AppendBatch(t.Context(), records); !errors.Is(err, eventstore.ErrBatchRefused) || b.log.MaxBatch() != 0 {
		t.Errorf("a stream without batches: %v, batches of %d", err, b.log.MaxBatch())
	}
	if head, err := b.log.Head(t.Context()); err != nil || head != 0 {
		t.Errorf("the log ends at %d, %v", head, err)
	}
	settings := b.log.Settings()
	again := open(t, b.conn)
	if again.log.MaxBatch() != 1000 || again.log.Settings() != settings {
		t.Errorf("batches of %d, settings %+v, want %+v", again.log.MaxBatch(), again.log.Settings(), settings)
	}
	if _, err := again.log.AppendBatch(t.Context(), records); err != nil {
		t.Error(err)
	}
}

func TestThreeReplicasTakeBatches(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a cluster")
	}
	servers := startCluster(t)
	var logs []*eventstore.Log
	for _, s := range servers {
		logs = append(logs, open(t, connect(t, s.ClientURL()), func(c *eventstore.Config) {
			c.Replicas, c.MaxBytes, c.DeadLetterMaxBytes = 3, 64<<20, 8<<20
			c.OpenTimeout, c.AckTimeout = patience, patience
		}).log)
	}
	requireSequences(t, logs)
}

// Records are stored in their order whether batches take them, refuse them for an id that
// the log has, or are not there.
func TestAppendAllKeepsTheOrder(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var records []messaging.Record
	for n := range 1200 {
		records = append(records, withID("a", fmt.Sprint(n), "x"))
	}
	b.add(t, records[1100]) // In the second batch.
	if err := b.operators().AppendAll(t.Context(), records); err != nil {
		t.Fatal(err)
	}
	stored, err := b.log.ReadAfter(t.Context(), "a", 0, 2*len(records))
	if err != nil || len(stored) != len(records) || stored[0].ID != "1100" {
		t.Fatalf("%d records, %v", len(stored), err)
	}
	next := 0
	for _, r := range stored[1:] {
		if next == 1100 {
			next++
		}
		if r.ID != fmt.Sprint(next) {
			t.Fatalf("%s stands where %d belongs", r.ID, next)
		}
		next++
	}
	if err := b.operators().AppendAll(t.Context(), []messaging.Record{record("b", "x"), withID("a", "0", "other")}); !errors.Is(err, eventstore.ErrIDConflict) {
		t.Errorf("a conflict: %v", err)
	}
	if err := b.log.Check(messaging.Record{JobID: "a"}); !errors.Is(err, eventstore.ErrInvalidRecord) {
		t.Errorf("no kind: %v", err)
	}
}
