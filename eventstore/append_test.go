package eventstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/internal/natsserver"
	"github.com/letswriteabook/realtime/internal/testkit"
	"github.com/letswriteabook/realtime/messaging"
)

func TestAppendKeepsEveryField(t *testing.T) {
	t.Parallel()
	b := setup(t)
	awkward := " \t line\r\nNats-Msg-Id: other\x00 % ~ é 🎉 "
	for _, want := range []messaging.Record{
		{JobID: "job", Kind: messaging.KindDomain, MessageID: "h", EmittedAt: "2025-01-02T03:04:05Z", Body: []byte(`{}`)},
		{JobID: "job", Kind: "x", ID: awkward, MessageID: awkward, EmittedAt: awkward, TraceParent: "00-a-b-01", Body: []byte(" {\r\n} ")},
		{JobID: "other job.*>", Kind: messaging.KindJobStatus, ID: "~1", MessageID: "~1", EmittedAt: "e", Body: []byte("\x00\xff")},
	} {
		receipt, err := b.log.Append(t.Context(), want)
		if err != nil {
			t.Fatal(err)
		}
		if receipt.ID != want.ID || receipt.JobID != want.JobID || receipt.Duplicate {
			t.Errorf("receipt = %+v", receipt)
		}
		records, err := b.log.ReadAfter(t.Context(), want.JobID, receipt.Sequence-1, 1)
		if err != nil || len(records) != 1 {
			t.Fatalf("read back: %d records, %v", len(records), err)
		}
		got := records[0]
		if time.Since(got.StoredAt).Abs() > time.Minute {
			t.Errorf("StoredAt = %s", got.StoredAt)
		}
		want.Position = messaging.Position{Epoch: b.log.Epoch(), Sequence: receipt.Sequence}
		want.StoredAt = got.StoredAt
		if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	}
}

func TestAppendRefusesWhatNoRetryMends(t *testing.T) {
	t.Parallel()
	b := setup(t)
	big := record("job", "x")
	big.Body = bytes.Repeat([]byte("x"), natsserver.MaxPayloadBytes)
	nameless := record("job", "x")
	nameless.MessageID = ""
	for name, c := range map[string]struct {
		record messaging.Record
		want   error
	}{
		"no job":     {record("", "x"), eventstore.ErrInvalidJobID},
		"long job":   {record(strings.Repeat("j", 10_000), "x"), eventstore.ErrInvalidJobID},
		"too large":  {big, eventstore.ErrTooLarge},
		"no id":      {nameless, eventstore.ErrInvalidRecord},
		"no kind":    {messaging.Record{JobID: "j", MessageID: "m"}, eventstore.ErrInvalidRecord},
		"good event": {record("job", "x"), nil},
	} {
		if _, err := b.log.Append(t.Context(), c.record); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestAppendStoresAnIDOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first := withID("job", "same", "text")
	want := b.add(t, first)[0]
	receipt, err := b.log.Append(t.Context(), first)
	if err != nil || !receipt.Duplicate || receipt.Sequence != want {
		t.Fatalf("second append = %+v, %v", receipt, err)
	}
	if records, err := b.log.ReadAfter(t.Context(), "job", 0, 10); err != nil || len(records) != 1 {
		t.Fatalf("stored %d records, %v", len(records), err)
	}

	_, err = b.log.Append(t.Context(), withID("job", "same", "other text"))
	var marked interface{ IDConflict() bool }
	if !errors.Is(err, eventstore.ErrIDConflict) || !errors.As(err, &marked) || !marked.IDConflict() {
		t.Errorf("another body: %v", err)
	}
	if got := b.counter(t, "conflicting_records_total"); got != 1 {
		t.Errorf("conflicts counted: %v", got)
	}

	derived := first
	derived.ID = ""
	if receipt, err := b.log.Append(t.Context(), derived); err != nil || receipt.Duplicate {
		t.Errorf("a derived id equal to a producer's id: %+v, %v", receipt, err)
	}
}

// Two jobs may use one id: each stores its own event under it, once.
func TestAnIDBelongsToItsJob(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const id = "a.b/~1"
	sequences := b.add(t, withID("job", id, "text"), withID("another.job", id, "text"), withID("third", id, "other text"))
	for i, repeated := range []messaging.Record{withID("job", id, "text"), withID("another.job", id, "text"), withID("third", id, "other text")} {
		receipt, err := b.log.Append(t.Context(), repeated)
		if err != nil || !receipt.Duplicate || receipt.Sequence != sequences[i] {
			t.Errorf("repeat in job %s = %+v, %v; want a duplicate of %d", repeated.JobID, receipt, err, sequences[i])
		}
	}
	if _, err := b.log.Append(t.Context(), withID("third", id, "text")); !errors.Is(err, eventstore.ErrIDConflict) {
		t.Errorf("another body in the third job: %v", err)
	}
}

func TestAppendAfterPurgeIsNotSwallowed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := withID("job", "again", "text")
	original := b.add(t, r)[0]
	for round := range 3 {
		stream, err := b.js.Stream(t.Context(), "NOVEL_EVENTS")
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Purge(t.Context()); err != nil {
			t.Fatal(err)
		}
		// Two gateways hear the replay; it is stored once.
		replayed, err := b.log.Append(t.Context(), r)
		if err != nil || replayed.Duplicate || replayed.Sequence <= original {
			t.Fatalf("round %d: replay = %+v, %v", round, replayed, err)
		}
		second, err := b.log.Append(t.Context(), r)
		if err != nil || !second.Duplicate || second.Sequence != replayed.Sequence {
			t.Fatalf("round %d: second gateway = %+v, %v", round, second, err)
		}
		records, err := b.log.ReadAfter(t.Context(), "job", 0, 10)
		if err != nil || len(records) != 1 || records[0].MessageID != "again" {
			t.Fatalf("round %d: stored %+v, %v", round, records, err)
		}
		if _, err := b.log.Append(t.Context(), withID("job", "again", "other")); !errors.Is(err, eventstore.ErrIDConflict) {
			t.Fatalf("round %d: conflict = %v", round, err)
		}
		original = replayed.Sequence
	}
}

func TestAppendKeepsOrderPerJob(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const jobs, each = 16, 60
	var running sync.WaitGroup
	for j := range jobs {
		running.Go(func() {
			for i := range each {
				if _, err := b.log.Append(t.Context(), record(fmt.Sprint("job-", j), fmt.Sprint(i))); err != nil {
					t.Errorf("append: %v", err)
				}
			}
		})
	}
	running.Wait()
	for j := range jobs {
		job := fmt.Sprint("job-", j)
		records, err := b.log.ReadAfter(t.Context(), job, 0, each+1)
		if err != nil || len(records) != each {
			t.Fatalf("%s: %d records, %v", job, len(records), err)
		}
		for i, r := range records {
			if !bytes.Contains(r.Body, fmt.Appendf(nil, `{"type":"%d"}`, i)) {
				t.Fatalf("%s: record %d is %s", job, i, r.Body)
			}
		}
	}
}

// A jobId must not reach the records of another, whatever it is made of.
func TestJobsAreApart(t *testing.T) {
	t.Parallel()
	b := setup(t)
	jobs := []string{
		".", "*", ">", " ", "a", "a.b", "a.*", "a.>", "*.b", "a b", "a%2Eb", "a_2Eb", "a=2Eb", "A", "é", "novel.events.a", "..", "$JS", "a.",
	}
	for _, job := range jobs {
		b.add(t, record(job, "text"))
	}
	last, err := b.log.LastSequences(t.Context(), jobs)
	if err != nil || len(last) != len(jobs) {
		t.Fatalf("last sequences of %d jobs, %v", len(last), err)
	}
	for i, job := range jobs {
		records, err := b.log.ReadAfter(t.Context(), job, 0, 10)
		if err != nil || len(records) != 1 || records[0].JobID != job {
			t.Errorf("job %q: %d records, %v", job, len(records), err)
		}
		if last[job] != uint64(i+1) {
			t.Errorf("job %q: last sequence %d", job, last[job])
		}
	}
}

// A record that is being appended while the server restarts is stored once.
func TestAppendAcrossRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cfg := natsserver.Config{StoreDir: dir, Listen: testkit.FreeAddr(t)}
	server := startServer(t, cfg)
	b := open(t, connect(t, server.ClientURL()), func(c *eventstore.Config) { c.AckTimeout = 500 * time.Millisecond })
	epoch := b.log.Epoch()

	const jobs, each = 4, 120
	var running sync.WaitGroup
	half, down := make(chan struct{}, jobs), make(chan struct{})
	for j := range jobs {
		running.Go(func() {
			for i := range each {
				if i == each*3/4 {
					<-down // or a fast machine stores all of them before the server is away
				}
				if _, err := b.log.Append(t.Context(), withID(fmt.Sprint(j), fmt.Sprint(j, "-", i), fmt.Sprint(i))); err != nil {
					t.Errorf("append: %v", err)
				}
				if i == each/2 {
					half <- struct{}{}
				}
			}
		})
	}
	await(t, "half of the appends", half)
	closeServer(t, server)
	close(down)
	eventually(t, "an append to be repeated", func() bool { return b.counter(t, "append_retries_total") > 0 })
	startServer(t, cfg)
	running.Wait()

	if b.log.Epoch() != epoch {
		t.Errorf("epoch %s became %s", epoch, b.log.Epoch())
	}
	for j := range jobs {
		records, err := b.log.ReadAfter(t.Context(), fmt.Sprint(j), 0, each+10)
		if err != nil || len(records) != each {
			t.Fatalf("job %d: %d records, %v", j, len(records), err)
		}
		for i, r := range records {
			if r.ID != fmt.Sprint(j, "-", i) {
				t.Fatalf("job %d: record %d has id %s", j, i, r.ID)
			}
		}
	}
}

func TestAppendWaitsWhileTheLogIsFull(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *eventstore.Config) { c.MaxBytes = 1 << 20 })
	large := func() messaging.Record {
		r := record("job", "")
		r.Body = make([]byte, 100_000)
		for i := range r.Body {
			r.Body[i] = byte(rand.Uint32())
		}
		return r
	}
	ctx, cancel := context.WithCancel(t.Context())
	filling, stop := context.WithCancel(ctx)
	defer cancel()
	filled := make(chan error, 1)
	go func() { // ends with filling
		for {
			if _, err := b.log.Append(filling, large()); err != nil {
				filled <- err
				return
			}
		}
	}()
	eventually(t, "the log to be full", func() bool { return b.counter(t, "log_full") == 1 })
	stop()
	if err := await(t, "the append to be given up", filled); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if got := b.counter(t, "log_full_episodes_total"); got != 1 {
		t.Fatalf("%v episodes", got)
	}

	done := make(chan error, 1)
	go func() {
		_, err := b.log.Append(ctx, large())
		done <- err
	}()
	stream, err := b.js.Stream(t.Context(), "NOVEL_EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := await(t, "the append after there is room", done); err != nil {
		t.Fatal(err)
	}
	if b.counter(t, "log_full") != 0 || b.counter(t, "log_full_episodes_total") != 1 {
		t.Errorf("gauge %v, episodes %v", b.counter(t, "log_full"), b.counter(t, "log_full_episodes_total"))
	}
}
