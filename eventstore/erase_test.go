package eventstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/eventstore/audit"
	"github.com/letswriteabook/realtime/eventstore/maintain"
	"github.com/letswriteabook/realtime/internal/natsserver"
	"github.com/letswriteabook/realtime/messaging"
)

// onDisk counts how often a text stands in the files below a folder.
func onDisk(t *testing.T, dir, text string) int {
	t.Helper()
	count := 0
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the server has just replaced it
		}
		count += bytes.Count(content, []byte(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return count
}

// TestEraseJob: nothing of the job stays in the files of the server, and everything
// else does.
func TestEraseJob(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server := startServer(t, natsserver.Config{StoreDir: dir})
	conn, err := server.Conn(eventstore.ConnOptions(nil)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	b := open(t, conn)
	const job, secret = "j. doe*", "what-nobody-may-read"
	var last uint64
	for i := range 40 {
		last = b.add(t, record(job, secret), record(fmt.Sprint("other-", i%3), "public"))[0]
	}
	letters := []messaging.DeadLetter{
		{Reason: messaging.ReasonSchemaViolation, At: time.Now(), Body: []byte(`{"jobId":"j. doe*","secret":"` + secret + `"}`)},
		{Reason: messaging.ReasonSchemaViolation, At: time.Now(), Body: []byte(`{"jobId":"other"}`)},
	}
	for _, letter := range letters {
		if err := b.log.DeadLetter(t.Context(), letter); err != nil {
			t.Fatal(err)
		}
	}
	count := func() uint64 {
		t.Helper()
		count, err := maintain.Of(b.log).CountJob(t.Context(), job)
		if err != nil {
			t.Fatal(err)
		}
		return count
	}
	if count() != 40 || onDisk(t, dir, secret) != 41 {
		t.Fatalf("%d records, %d times on disk", count(), onDisk(t, dir, secret))
	}

	newer := b.add(t, record(job, "new"))[0]
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := maintain.Of(b.log).EraseJob(ctx, job, last, func(erased uint64) { // interrupted
		if erased == 10 {
			cancel()
		}
	}); !errors.Is(err, context.Canceled) {
		t.Errorf("EraseJob: %v", err)
	}
	for _, want := range []uint64{30, 0} {
		erased, err := maintain.Of(b.log).EraseJob(t.Context(), job, last, nil)
		if err != nil || erased != want {
			t.Errorf("erased %d, want %d; %v", erased, want, err)
		}
		if err := maintain.Of(b.log).EraseDeadLetter(t.Context(), 1); err != nil {
			t.Error(err)
		}
	}
	if count() != 1 || onDisk(t, dir, secret) != 0 {
		t.Errorf("%d records are left, %d times on disk", count(), onDisk(t, dir, secret))
	}
	records, err := b.log.ReadAfter(t.Context(), job, 0, 10)
	if err != nil || len(records) != 1 || records[0].Sequence != newer {
		t.Errorf("the new record: %v, %v", records, err)
	}
	if others, err := maintain.Of(b.log).CountJob(t.Context(), "other-0"); err != nil || others != 14 {
		t.Errorf("another job has %d records, %v", others, err)
	}
	if left, err := b.operators().DeadLetters(t.Context(), 0, 10); err != nil || len(left) != 1 || left[0].Sequence != 2 {
		t.Errorf("letters %v, %v", left, err)
	}
	if _, err := maintain.Of(b.log).EraseJob(t.Context(), "", last, nil); !errors.Is(err, eventstore.ErrInvalidJobID) {
		t.Errorf("EraseJob of nothing: %v", err)
	}
}

func TestAudit(t *testing.T) {
	t.Parallel()
	b := setup(t)
	trail := audit.Beside(b.log.Client())
	if notes, newest, err := trail.After(t.Context(), 0); err != nil || newest != 0 || len(notes) != 0 {
		t.Fatalf("before the first note: %v, %d, %v", notes, newest, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	heard, watched := make(chan struct{}, 8), make(chan error, 1)
	go func() { watched <- trail.Watch(ctx, func() { heard <- struct{}{} }) }() // stopped by cancel
	eventually(t, "the watch", func() bool { return b.conn.NumSubscriptions() > 1 })
	if err := b.conn.Flush(); err != nil {
		t.Fatal(err)
	}
	for i, job := range []string{"job", "a.*.>", "job"} {
		note := audit.Erasure{ID: fmt.Sprint(i), Stage: audit.StageBegun, JobID: job, By: "me", Reason: "asked", Epoch: "e", Through: 7}
		if number, err := trail.Note(t.Context(), note); err != nil || number != uint64(i+1) {
			t.Fatalf("note %d: %v", number, err)
		}
		await(t, "the note to be heard", heard)
	}
	if notes, newest, err := trail.After(t.Context(), 1); err != nil || newest != 3 || len(notes) != 2 || notes[0].JobID != "a.*.>" || notes[1].Number != 3 {
		t.Errorf("notes %+v, %d, %v", notes, newest, err)
	}
	if notes, err := trail.Of(t.Context(), "job"); err != nil || len(notes) != 2 || notes[1].ID != "2" || notes[1].Through != 7 {
		t.Errorf("notes on a job %+v, %v", notes, err)
	}
	if _, err := trail.Note(t.Context(), audit.Erasure{}); !errors.Is(err, eventstore.ErrInvalidJobID) {
		t.Errorf("a note on nothing: %v", err)
	}
	stream, err := b.js.Stream(t.Context(), "NOVEL_AUDIT")
	if err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"delete": stream.DeleteMsg(t.Context(), 1), "purge": stream.Purge(t.Context(), jetstream.WithPurgeKeep(1)),
	} {
		if err == nil {
			t.Errorf("the server lets a note be taken away: %s", name)
		}
	}
	cancel()
	if err := await(t, "the watch to end", watched); err != nil {
		t.Error(err)
	}
}

// TestEraseWhatIsNoRecord: what somebody else has put under the job's subject goes, too.
func TestEraseWhatIsNoRecord(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.add(t, record("job", "a"))
	ack, err := b.js.Publish(t.Context(), "novel.events.job", []byte("by hand"))
	if err != nil {
		t.Fatal(err)
	}
	if erased, err := maintain.Of(b.log).EraseJob(t.Context(), "job", ack.Sequence, nil); err != nil || erased != 2 {
		t.Errorf("erased %d, %v", erased, err)
	}
	if count, err := maintain.Of(b.log).CountJob(t.Context(), "job"); err != nil || count != 0 {
		t.Errorf("%d are left, %v", count, err)
	}
}
