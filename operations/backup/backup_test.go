package backup_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/eventstore/archive"
	"github.com/letswriteabook/realtime/internal/testkit/logkit"
	"github.com/letswriteabook/realtime/messaging"
	"github.com/letswriteabook/realtime/operations/backup"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func quiet(backup.Progress) {}

// system is a log with a few records, and its archive.
func system(t *testing.T) (*eventstore.Log, *archive.Archive) {
	t.Helper()
	conn := logkit.Conn(t)
	log := logkit.Open(t, conn)
	for i := range 50 {
		id := fmt.Sprint("id-", i)
		record := messaging.Record{JobID: "job", Kind: messaging.KindDomain, ID: id, MessageID: id, EmittedAt: "t", Body: []byte(`{}`)}
		if _, err := log.Append(t.Context(), record); err != nil {
			t.Fatal(err)
		}
	}
	streams, err := archive.New(conn, "")
	if err != nil {
		t.Fatal(err)
	}
	return log, streams
}

func TestBackupAndRestore(t *testing.T) {
	t.Parallel()
	log, streams := system(t)
	dir := filepath.Join(t.TempDir(), "backup")
	// An interrupted one leaves no manifest, and is begun anew.
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := backup.Save(ctx, streams, dir, func(backup.Progress) { cancel() }); !errors.Is(err, context.Canceled) {
		t.Errorf("Save: %v", err)
	}
	if _, err := backup.Load(dir); !errors.Is(err, backup.ErrNoBackup) {
		t.Errorf("Load: %v", err)
	}
	manifest, err := backup.Save(t.Context(), streams, dir, quiet)
	if err != nil || len(manifest.Streams) != 2 || manifest.Streams[0].Messages != 50 || manifest.Streams[0].Epoch != log.Epoch() {
		t.Fatalf("%+v, %v", manifest, err)
	}
	if _, err := backup.Save(t.Context(), streams, dir, quiet); !errors.Is(err, backup.ErrExists) {
		t.Errorf("saved over a backup: %v", err)
	}
	loaded, err := backup.Load(dir)
	if err := errors.Join(err, backup.Check(dir, loaded)); err != nil {
		t.Fatal(err)
	}
	if _, err := backup.Restore(t.Context(), streams, dir, false, quiet); !errors.Is(err, archive.ErrStreamExists) {
		t.Errorf("restored over a stream: %v", err)
	}
	before := log.Epoch()
	for range 2 {
		restored, err := backup.Restore(t.Context(), streams, dir, true, quiet)
		if err != nil || restored.PreviousEpoch != before || restored.Epoch == before {
			t.Fatalf("%+v, %v", restored, err)
		}
		state, err := log.State(t.Context())
		if err != nil || state.Epoch != restored.Epoch || state.Last != 50 {
			t.Errorf("%+v, %v", state, err)
		}
	}
}

// A gateway re-creates streams that it misses: those are empty, and a restore takes their
// places without being told to replace anything.
func TestRestoreOverStreamsThatWereRecreated(t *testing.T) {
	t.Parallel()
	conn := logkit.Conn(t)
	log := logkit.Open(t, conn)
	record := messaging.Record{JobID: "job", Kind: messaging.KindDomain, ID: "a", MessageID: "a", EmittedAt: "t", Body: []byte(`{}`)}
	if _, err := log.Append(t.Context(), record); err != nil {
		t.Fatal(err)
	}
	streams, err := archive.New(conn, "")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "backup")
	if _, err := backup.Save(t.Context(), streams, dir, quiet); err != nil {
		t.Fatal(err)
	}
	for _, stream := range archive.Streams() {
		if err := streams.Remove(t.Context(), stream); err != nil {
			t.Fatal(err)
		}
	}
	again := logkit.Open(t, conn) // makes them
	if _, err := backup.Restore(t.Context(), streams, dir, false, quiet); err != nil {
		t.Fatal(err)
	}
	if state, err := again.State(t.Context()); err != nil || state.Last != 1 {
		t.Errorf("%+v, %v", state, err)
	}
}

func TestRestoreOfADamagedBackup(t *testing.T) {
	t.Parallel()
	log, streams := system(t)
	dir := t.TempDir()
	manifest, err := backup.Save(t.Context(), streams, dir, quiet)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, manifest.Streams[0].Files[1].Path)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := backup.Restore(t.Context(), streams, dir, true, quiet); !errors.Is(err, backup.ErrCorrupt) {
		t.Errorf("restored what is damaged: %v", err)
	}
	if state, err := log.State(t.Context()); err != nil || state.Last != 50 {
		t.Errorf("the log was touched: %+v, %v", state, err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := backup.Check(dir, manifest); !errors.Is(err, backup.ErrCorrupt) {
		t.Errorf("Check: %v", err)
	}
	for _, text := range []string{"", "{}", `{"version":1,"streams":[{"files":[{"path":"../x"}]}]}`} {
		if err := os.WriteFile(filepath.Join(dir, "manifest.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := backup.Load(dir); !errors.Is(err, backup.ErrNoBackup) {
			t.Errorf("Load of %q: %v", text, err)
		}
	}
}
