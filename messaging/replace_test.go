package messaging_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/letswriteabook/realtime/messaging"
)

// TestReplaceCatalogue: a catalogue takes the kinds of another one, and tells whether a
// file, or a schema that it names, has changed.
func TestReplaceCatalogue(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	load := func() *messaging.Catalogue {
		t.Helper()
		loaded, err := messaging.LoadCatalogue(filepath.Join(dir, "catalogue.json"))
		if err != nil {
			t.Fatal(err)
		}
		return loaded
	}
	own := new(messaging.Catalogue)
	if own.Replace(messaging.DefaultCatalogue()) {
		t.Error("the built-in kinds are a change")
	}
	write("catalogue.json", `{"kinds":[{"kind":"note","socketEvent":"novel.note","schema":"note.json","payload":[]}]}`)
	write("note.json", `{"type":"object"}`)
	if !own.Replace(load()) {
		t.Error("a new file is no change")
	}
	if event, _ := own.SocketEvent("note"); event != "novel.note" {
		t.Errorf("the new kind is delivered as %q", event)
	}
	if own.Replace(load()) {
		t.Error("the same file is a change")
	}
	write("note.json", `{"type":"object","required":["text"]}`)
	if !own.Replace(load()) {
		t.Error("another schema is no change")
	}
	envelope := []byte(`{"version":1,"kind":"note","jobId":"job-1"}`)
	if _, err := own.Decode(envelope, 1000); err == nil {
		t.Error("the new schema is not used")
	}
	if !own.Replace(messaging.DefaultCatalogue()) {
		t.Error("no file any more is no change")
	}
	if _, known := own.SocketEvent("note"); known {
		t.Error("a kind that has gone is known")
	}
}
