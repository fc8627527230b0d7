package backup_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/eventstore/archive"
	"github.com/letswriteabook/realtime/eventstore/lease"
	"github.com/letswriteabook/realtime/eventstore/maintain"
	"github.com/letswriteabook/realtime/internal/natsserver"
	"github.com/letswriteabook/realtime/messaging"
	"github.com/letswriteabook/realtime/operations/backup"
)

// A restore that ends in the middle, with its process, leaves nothing that counts as
// the log, and a repeat completes it.
func TestRestoreThatDiesLeavesNoLog(t *testing.T) {
	t.Parallel()
	_, streams := system(t)
	dir := filepath.Join(t.TempDir(), "backup")
	if _, err := backup.Save(t.Context(), streams, dir, quiet); err != nil {
		t.Fatal(err)
	}
	server, err := natsserver.Start(natsserver.Config{StoreDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close(context.WithoutCancel(t.Context())) })
	connect := func() *nats.Conn {
		conn, err := server.Conn(eventstore.ConnOptions(nil)...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(conn.Close)
		return conn
	}
	watching := connect()
	list, err := lease.New(watching, "")
	if err != nil {
		t.Fatal(err)
	}
	ctx, held, err := list.Begin(t.Context(), lease.Operation{Target: lease.WholeLog, Kind: "restore"})
	if err != nil {
		t.Fatal(err)
	}
	cfg := eventstore.DefaultConfig()
	cfg.OpenTimeout = time.Second
	for _, step := range []string{"restore NOVEL_EVENTS", "compare NOVEL_EVENTS", "restore NOVEL_DEADLETTER"} {
		dying := connect()
		fresh, err := archive.New(dying, "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := backup.Restore(t.Context(), fresh, dir, false, func(p backup.Progress) {
			if p.Step == step {
				dying.Close() // as a process that is killed does, it cleans nothing up
			}
		}); err == nil {
			t.Fatalf("%s: the restore goes on without a connection", step)
		}
		if _, err := eventstore.Attach(t.Context(), watching, cfg, nil, nil); !errors.Is(err, eventstore.ErrRestoring) && !errors.Is(err, eventstore.ErrNoStream) {
			t.Errorf("%s: an operator takes what is there for the log: %v", step, err)
		}
		if _, err := eventstore.Open(t.Context(), watching, cfg, nil, nil); err == nil {
			t.Errorf("%s: a gateway takes what is there for the log: %v", step, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		if ack, err := watching.RequestWithContext(ctx, "novel.events.job", []byte("{}")); err == nil {
			t.Errorf("%s: a publish is answered with %s", step, ack.Data)
		}
		cancel()
	}
	again, err := archive.New(watching, "")
	if err != nil {
		t.Fatal(err)
	}
	restored, err := backup.Restore(t.Context(), again, dir, false, quiet)
	if err != nil {
		t.Fatal(err)
	}
	if err := held.End(ctx, nil); err != nil {
		t.Fatal(err)
	}
	cfg.OpenTimeout = 15 * time.Second
	log, err := eventstore.Open(t.Context(), watching, cfg, nil, nil)
	if err != nil || log.Epoch() != restored.Epoch {
		t.Fatalf("epoch %q, want %q: %v", log.Epoch(), restored.Epoch, err)
	}
	if count, err := maintain.Of(log).CountJob(t.Context(), "job"); err != nil || count != 50 {
		t.Errorf("%d events, %v", count, err)
	}
}

// What a restore cannot make whole does not take the place of the log.
func TestRestoreKeepsTheLogThatIsThere(t *testing.T) {
	t.Parallel()
	log, streams := system(t)
	before := log.Epoch()
	whole := func(what string) {
		t.Helper()
		state, err := log.State(t.Context())
		if err != nil || state.Epoch != before || state.Last != 50 {
			t.Errorf("%s: the log is %+v, %v", what, state, err)
		}
		if there, err := streams.Exists(t.Context(), archive.Beside("NOVEL_EVENTS")); there || err != nil {
			t.Errorf("%s: a stream is left beside the log: %v, %v", what, there, err)
		}
	}
	dir := filepath.Join(t.TempDir(), "backup")
	if _, err := backup.Save(t.Context(), streams, dir, quiet); err != nil {
		t.Fatal(err)
	}
	for _, step := range []string{"restore NOVEL_EVENTS beside the one that is there", "compare NOVEL_EVENTS"} {
		ctx, cancel := context.WithCancel(t.Context())
		_, err := backup.Restore(ctx, streams, dir, true, func(p backup.Progress) {
			if p.Step == step {
				cancel()
			}
		})
		cancel()
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", step, err)
		}
		whole(step)
	}
	change(t, dir, func(manifest map[string]any) {
		manifest["streams"].([]any)[0].(map[string]any)["sha256"] = "0000"
	})
	if _, err := backup.Restore(t.Context(), streams, dir, true, quiet); !errors.Is(err, archive.ErrDamaged) {
		t.Errorf("other messages than those of the manifest: %v", err)
	}
	whole("other messages")
	for _, inPlace := range []bool{false, true} {
		refused := filepath.Join(t.TempDir(), "backup")
		if _, err := backup.Save(t.Context(), streams, refused, quiet); err != nil {
			t.Fatal(err)
		}
		changeConfig(t, refused, "num_replicas", 3) // which a single server does not have
		if _, err := backup.RestoreWith(t.Context(), streams, refused, backup.Options{Replace: true, InPlace: inPlace}); err == nil {
			t.Error("three replicas on one server")
		}
		whole("replicas")
		changeConfig(t, refused, "num_replicas", 1)
		changeConfig(t, refused, "max_bytes", int64(1)<<60)
		if _, err := backup.RestoreWith(t.Context(), streams, refused, backup.Options{Replace: true, InPlace: inPlace}); err == nil || !inPlace && !errors.Is(err, archive.ErrNoRoom) {
			t.Errorf("more than the server has: %v", err)
		}
		whole("room")
	}
	inPlace := filepath.Join(t.TempDir(), "backup")
	if _, err := backup.Save(t.Context(), streams, inPlace, quiet); err != nil {
		t.Fatal(err)
	}
	if restored, err := backup.RestoreWith(t.Context(), streams, inPlace, backup.Options{Replace: true, InPlace: true}); err != nil || restored.Epoch == before {
		t.Errorf("in place: %+v, %v", restored, err)
	}
}

// change rewrites the manifest of a backup.
func change(t *testing.T, dir string, how func(map[string]any)) {
	t.Helper()
	path := filepath.Join(dir, "manifest.json")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var manifest map[string]any
	if err := json.Unmarshal(data, &manifest); err != nil {
		t.Fatal(err)
	}
	how(manifest)
	if data, err = json.Marshal(manifest); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// changeConfig rewrites the configuration of the events' stream in a backup.
func changeConfig(t *testing.T, dir, name string, value any) {
	t.Helper()
	path := filepath.Join(dir, "NOVEL_EVENTS", "backup.json")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var snapshot map[string]map[string]any
	if err := json.Unmarshal(data, &snapshot); err != nil {
		t.Fatal(err)
	}
	snapshot["config"][name] = value
	if data, err = json.Marshal(snapshot); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "manifest.json")); err != nil {
		t.Fatal(err)
	}
	if _, err := backup.Adopt(dir); err != nil {
		t.Fatal(err)
	}
}

// A restore that is interrupted after its last step, or before it, is completed by a
// repeat with the same epoch, which leaves alone what was stored meanwhile.
func TestRestoreRepeatedAtItsEnd(t *testing.T) {
	t.Parallel()
	_, streams := system(t)
	dir := filepath.Join(t.TempDir(), "backup")
	saved, err := backup.Save(t.Context(), streams, dir, quiet)
	if err != nil {
		t.Fatal(err)
	}
	conn, fresh := emptyServer(t)
	options := backup.Options{Epoch: archive.NewEpoch()}
	// As a restore leaves it that ends before its last step: events with the mark, and
	// the rest without.
	for _, stream := range saved.Streams {
		snapshot, data := snapshotOf(t, dir, stream)
		if err := fresh.RestoreMarked(t.Context(), snapshot, data, nil); err != nil {
			t.Fatal(err)
		}
		if stream.Name == saved.Streams[0].Name {
			continue
		}
		if _, err := fresh.Complete(t.Context(), snapshot, options.Epoch); err != nil {
			t.Fatal(err)
		}
	}
	for _, state := range []string{"before its last step", "after its last step"} {
		prepared := ""
		options.Prepare = func(_ context.Context, coming backup.Coming) error {
			prepared = coming.Epoch
			return nil
		}
		restored, err := backup.RestoreWith(t.Context(), fresh, dir, options)
		if err != nil || restored.Epoch != options.Epoch || prepared != options.Epoch {
			t.Fatalf("%s: restored %+v, prepared %q, %v", state, restored, prepared, err)
		}
		log, err := eventstore.Open(t.Context(), conn, eventstore.DefaultConfig(), nil, nil)
		if err != nil || log.Epoch() != options.Epoch {
			t.Fatalf("%s: %v", state, err)
		}
		body := []byte(`{"kind":"domain","jobId":"later","event":{"type":"t"}}`)
		if _, err := log.Append(t.Context(), messaging.Record{JobID: "later", Kind: messaging.KindDomain, ID: state, MessageID: state, Body: body}); err != nil {
			t.Fatal(err)
		}
		for job, want := range map[string]uint64{"job": 50, "later": map[string]uint64{"before its last step": 1, "after its last step": 2}[state]} {
			if count, err := maintain.Of(log).CountJob(t.Context(), job); err != nil || count != want {
				t.Errorf("%s: %s has %d events, %v, want %d", state, job, count, err, want)
			}
		}
	}
	options.Epoch = ""
	if _, err := backup.RestoreWith(t.Context(), fresh, dir, options); !errors.Is(err, archive.ErrStreamExists) {
		t.Errorf("another restore over the log: %v", err)
	}
}

// What a restore leaves that is killed, beside the log or with the log removed already,
// does not stand in the way of the next one.
func TestRestoreAfterOneThatWasKilled(t *testing.T) {
	t.Parallel()
	for _, killed := range []struct {
		when             string
		removed, inPlace bool
	}{
		{"after the log was removed", true, false},
		{"beside the log, and repeated in place", false, true},
	} {
		log, streams := system(t)
		before := log.Epoch()
		dir := filepath.Join(t.TempDir(), "backup")
		saved, err := backup.Save(t.Context(), streams, dir, quiet)
		if err != nil {
			t.Fatal(err)
		}
		events := saved.Streams[0]
		snapshot, data := snapshotOf(t, dir, events)
		if err := streams.RestoreBeside(t.Context(), snapshot, data, nil); err != nil {
			t.Fatal(err)
		}
		if killed.removed {
			if err := streams.Remove(t.Context(), events.Name); err != nil {
				t.Fatal(err)
			}
		}
		options := backup.Options{Replace: true, InPlace: killed.inPlace}
		if restored, err := backup.RestoreWith(t.Context(), streams, dir, options); err != nil || restored.Epoch == before {
			t.Errorf("%s: %+v, %v", killed.when, restored, err)
		}
		if there, err := streams.Exists(t.Context(), archive.Beside(events.Name)); there || err != nil {
			t.Errorf("%s: a stream is left beside the log: %v, %v", killed.when, there, err)
		}
	}
}

// emptyServer returns a connection to a server that has no log.
func emptyServer(t *testing.T) (*nats.Conn, *archive.Archive) {
	t.Helper()
	server, err := natsserver.Start(natsserver.Config{StoreDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close(context.WithoutCancel(t.Context())) })
	conn, err := server.Conn(eventstore.ConnOptions(nil)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	streams, err := archive.New(conn, "")
	if err != nil {
		t.Fatal(err)
	}
	return conn, streams
}

// snapshotOf opens what a backup has of a stream.
func snapshotOf(t *testing.T, dir string, stream backup.Stream) (archive.Snapshot, *os.File) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, stream.Files[0].Path))
	if err != nil {
		t.Fatal(err)
	}
	var snapshot archive.Snapshot
	if err := json.Unmarshal(text, &snapshot); err != nil {
		t.Fatal(err)
	}
	data, err := os.Open(filepath.Join(dir, stream.Files[1].Path))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = data.Close() })
	return snapshot, data
}
