package backup_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/operations/backup"
)

// TestAdopt restores what has no manifest, which is how the nats CLI leaves it.
func TestAdopt(t *testing.T) {
	t.Parallel()
	log, streams := system(t)
	dir := t.TempDir()
	saved, err := backup.Save(t.Context(), streams, dir, quiet)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := backup.Adopt(dir); !errors.Is(err, backup.ErrExists) {
		t.Errorf("adopted a backup of ours: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "manifest.json")); err != nil {
		t.Fatal(err)
	}
	adopted, err := backup.Adopt(dir)
	if err != nil || len(adopted.Streams) != len(saved.Streams) {
		t.Fatalf("%+v, %v", adopted, err)
	}
	if adopted.CreatedAt.IsZero() || adopted.CreatedAt.After(saved.CreatedAt.Add(time.Minute)) {
		t.Errorf("it was made at %s", adopted.CreatedAt)
	}
	for i, stream := range adopted.Streams {
		got, _ := json.Marshal(stream)
		saved.Streams[i].SHA256 = "" // of the messages, which the CLI does not add up
		want, _ := json.Marshal(saved.Streams[i])
		if string(got) != string(want) {
			t.Errorf("stream %s, want %s", got, want)
		}
	}
	restored, err := backup.Restore(t.Context(), streams, dir, true, quiet)
	if err != nil || restored.Epoch == log.Epoch() {
		t.Fatalf("%+v, %v", restored, err)
	}
	if state, err := log.State(t.Context()); err != nil || state.Last != 50 {
		t.Errorf("%+v, %v", state, err)
	}
}

func TestAdoptOfNothing(t *testing.T) {
	t.Parallel()
	for name, files := range map[string]map[string]string{
		"empty":             {},
		"no data":           {"NOVEL_EVENTS/backup.json": `{"config":{"name":"NOVEL_EVENTS"},"state":{}}`},
		"another stream":    {"NOVEL_EVENTS/backup.json": `{"config":{"name":"ORDERS"},"state":{}}`, "NOVEL_EVENTS/stream.arc.s2": "x"},
		"no description":    {"NOVEL_EVENTS/backup.json": `{`, "NOVEL_EVENTS/stream.arc.s2": "x"},
		"two kinds of it":   {"NOVEL_EVENTS/backup.json": `{"config":{"name":"NOVEL_EVENTS"},"state":{}}`, "NOVEL_EVENTS/stream.arc.s2": "x", "NOVEL_EVENTS/stream.tar.s2": "x"},
		"dead letters only": {"NOVEL_DEADLETTER/backup.json": `{"config":{"name":"NOVEL_DEADLETTER"},"state":{}}`, "NOVEL_DEADLETTER/stream.arc.s2": "x"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for path, text := range files {
				if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(path)), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, path), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := backup.Adopt(dir); !errors.Is(err, backup.ErrNoBackup) {
				t.Errorf("adopted: %v", err)
			}
			if _, err := os.Stat(filepath.Join(dir, "manifest.json")); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("it left a manifest: %v", err)
			}
		})
	}
}
