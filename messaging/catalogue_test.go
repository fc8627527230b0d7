package messaging_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/messaging"
)

func TestDefaultCatalogueHasTheKindsOfTheContract(t *testing.T) {
	t.Parallel()
	c := messaging.DefaultCatalogue()
	want := []messaging.Kind{messaging.KindDomain, messaging.KindGeneration, messaging.KindJobStatus}
	if got := c.Kinds(); !slices.Equal(got, want) {
		t.Errorf("kinds %q, want %q", got, want)
	}
	for kind, want := range map[messaging.Kind]string{
		messaging.KindGeneration: "novel.generation-event",
		messaging.KindDomain:     "novel.domain-event",
		messaging.KindJobStatus:  messaging.EventJobStatus,
		"dance":                  "",
	} {
		if got, ok := c.SocketEvent(kind); got != want || ok != (want != "") {
			t.Errorf("%s is delivered as %q (%v), want %q", kind, got, ok, want)
		}
	}
	if c != messaging.DefaultCatalogue() {
		t.Error("a second call returns another catalogue")
	}
}

// A file adds kinds, which are then decoded, checked and encoded as the built-in
// ones are.
func TestLoadCatalogueAddsKinds(t *testing.T) {
	t.Parallel()
	c, err := messaging.LoadCatalogue("testdata/catalogues/notes.json")
	if err != nil {
		t.Fatal(err)
	}
	want := []messaging.Kind{"beat", "chapter-note", messaging.KindDomain, messaging.KindGeneration, messaging.KindJobStatus, "reading"}
	if got := c.Kinds(); !slices.Equal(got, want) {
		t.Errorf("kinds %q, want %q", got, want)
	}
	if got, _ := c.SocketEvent("chapter-note"); got != "novel.chapter-note" {
		t.Errorf("chapter-note is delivered as %q", got)
	}

	raw := `{"kind":"chapter-note","jobId":"job-42","chapter":7,"note":{"text":"too long?"},"id":"n-1","private":1}`
	envelope := decode(t, c, raw)
	if encoded, err := envelope.Encode(); err != nil || string(encoded) != raw {
		t.Errorf("encoded %s, %v", encoded, err)
	}
	record := envelope.Record(received)
	record.Sequence = 3
	payload, err := c.AppendPayload(nil, record)
	if want := `{"jobId":"job-42","emittedAt":"2025-01-31T12:00:05.000Z","note":{"text":"too long?"},"chapter":7,"sequence":3,"id":"n-1"}`; err != nil || string(payload) != want {
		t.Errorf("payload %s, %v\nwant    %s", payload, err, want)
	}
	item, err := c.AppendItem(nil, decode(t, c, `{"kind":"beat","jobId":"job-42"}`).Record(received))
	if want := `{"kind":"beat","jobId":"job-42","emittedAt":"2025-01-31T12:00:05.000Z"}`; err != nil || string(item) != want {
		t.Errorf("item %s, %v\nwant %s", item, err, want)
	}
	decode(t, c, `{"kind":"domain","jobId":"job-42","event":{"type":"t","occurredAt":"now"}}`)

	for raw, want := range map[string]string{
		`{"kind":"chapter-note","jobId":"job-42"}`:                                        "schema-violation: note: is required",
		`{"kind":"chapter-note","jobId":"job-42","note":{"text":"thirteen chars"}}`:       "schema-violation: note.text: must have at most 12 characters",
		`{"kind":"chapter-note","jobId":"job-42","note":{"text":""},"chapter":41}`:        "schema-violation: chapter: must be at most 40",
		`{"kind":"chapter-note","jobId":"job-42","note":{"text":""},"chapter":1e999999}`:  "schema-violation: chapter: must be at most 40",
		`{"kind":"chapter-note","jobId":"job-42","note":{"text":""},"chapter":-1e999999}`: "schema-violation: chapter: must be at least 1",
		`{"kind":"chapter-note","jobId":"job-42","note":{"text":""},"chapter":1.5}`:       "schema-violation: chapter: must be of type integer, not number",
		`{"kind":"reading","jobId":"job-42","words":0}`:                                   "schema-violation: words: must be at least 1",
		`{"kind":"beat"}`:  "schema-violation: jobId: must be a non-empty string of at most 256 bytes without control characters",
		`{"kind":"dance"}`: `unknown-kind: kind "dance": must be one of "beat", "chapter-note", "domain", "generation", "job-status", "reading"`,
	} {
		if _, err := c.Decode([]byte(raw), 1000); err == nil || err.Error() != want {
			t.Errorf("%s:\n got %v\nwant %s", raw, err, want)
		}
	}

	// The built-in catalogue is not touched by it.
	if _, ok := messaging.DefaultCatalogue().SocketEvent("chapter-note"); ok {
		t.Error("the default catalogue has the added kind")
	}
}

func TestLoadCatalogueNamesFileKindAndField(t *testing.T) {
	t.Parallel()
	entry := func(members string) string { return `{"kinds":[{` + members + `}]}` }
	for _, test := range []struct{ name, text, want string }{
		{"not JSON", `kinds: []`, "read as JSON"},
		{"not an object", `[]`, "read as JSON"},
		{"two objects", `{"kinds":[{"kind":"k","socketEvent":"e","schema":true,"payload":[]}]} {}`, "read as JSON: there is something after"},
		{"unknown field", entry(`"kind":"k","socketEvents":"e"`), `unknown field "socketEvents"`},
		{"no kinds", `{}`, "kinds: must have at least one"},
		{"no name", entry(`"socketEvent":"e","schema":true,"payload":[]`), `kind 1 "": kind: must be a non-empty string`},
		{"long name", entry(`"kind":"` + strings.Repeat("k", 65) + `","socketEvent":"e","schema":true,"payload":[]`), "kind: must be a non-empty string of at most 64 bytes"},
		{"control character", entry(`"kind":"a\nb","socketEvent":"e","schema":true,"payload":[]`), `kind 1 "a\nb": kind: must be`},
		{"built-in kind", entry(`"kind":"domain","socketEvent":"e","schema":true,"payload":[]`), `kind 1 "domain": kind: there is one of this name already`},
		{
			"kind twice",
			`{"kinds":[{"kind":"k","socketEvent":"e","schema":true,"payload":[]},{"kind":"k","socketEvent":"f","schema":true,"payload":[]}]}`,
			`kind 2 "k": kind: there is one of this name already`,
		},
		{"no socket event", entry(`"kind":"k","schema":true,"payload":[]`), `kind 1 "k": socketEvent: must be a non-empty string`},
		{"control event", entry(`"kind":"k","socketEvent":"novel.caught-up","schema":true,"payload":[]`), `socketEvent: "novel.caught-up" is an event of the protocol itself`},
		{"event of a client", entry(`"kind":"k","socketEvent":"refresh","schema":true,"payload":[]`), `socketEvent: "refresh" is an event of the protocol itself`},
		{"reserved event", entry(`"kind":"k","socketEvent":"disconnect","schema":true,"payload":[]`), `socketEvent: "disconnect" is an event of the protocol itself`},
		{"event of another kind", entry(`"kind":"k","socketEvent":"novel.job-status","schema":true,"payload":[]`), `socketEvent: "novel.job-status" is the event of kind "job-status" already`},
		{"no schema", entry(`"kind":"k","socketEvent":"e","payload":[]`), `kind 1 "k": schema: must be a JSON Schema, or the path of one`},
		{"null schema", entry(`"kind":"k","socketEvent":"e","schema":null,"payload":[]`), `schema: must be a JSON Schema, or the path of one`},
		{"number for schema", entry(`"kind":"k","socketEvent":"e","schema":7,"payload":[]`), `kind 1 "k": schema: `},
		{"no JSON Schema", entry(`"kind":"k","socketEvent":"e","schema":{"type":"objekt"},"payload":[]`), `kind 1 "k": schema: `},
		{"bad pattern", entry(`"kind":"k","socketEvent":"e","schema":{"pattern":"("},"payload":[]`), `kind 1 "k": schema: `},
		{"schema file missing", entry(`"kind":"k","socketEvent":"e","schema":"nowhere.json","payload":[]`), `nowhere.json`},
		{"schema on the network", entry(`"kind":"k","socketEvent":"e","schema":{"$ref":"https://example.com/s.json"},"payload":[]`), "not fetched over the network"},
		{"schema on plain network", entry(`"kind":"k","socketEvent":"e","schema":{"$ref":"http://example.com/s.json"},"payload":[]`), `kind 1 "k": schema: `},
		{"no such built-in schema", entry(`"kind":"k","socketEvent":"e","schema":{"$ref":"https://github.com/letswriteabook/realtime/schemas/x.json"},"payload":[]`), "find built-in schema"},
		{"path of no file", entry(`"kind":"k","socketEvent":"e","schema":"%zz","payload":[]`), `kind 1 "k": schema: parse path "%zz"`},
		{"no payload", entry(`"kind":"k","socketEvent":"e","schema":true`), `kind 1 "k": payload: must list the fields`},
		{"empty field", entry(`"kind":"k","socketEvent":"e","schema":true,"payload":[""]`), `payload: the name of a field must not be empty`},
		{"field twice", entry(`"kind":"k","socketEvent":"e","schema":true,"payload":["a","a"]`), `payload: "a" is listed twice`},
		{"field jobId", entry(`"kind":"k","socketEvent":"e","schema":true,"payload":["jobId"]`), `payload: every payload has its own "jobId"`},
		{"field emittedAt", entry(`"kind":"k","socketEvent":"e","schema":true,"payload":["emittedAt"]`), `payload: every payload has its own "emittedAt"`},
		{"field sequence", entry(`"kind":"k","socketEvent":"e","schema":true,"payload":["sequence"]`), `payload: every payload has its own "sequence"`},
		{"field id", entry(`"kind":"k","socketEvent":"e","schema":true,"payload":["id"]`), `payload: every payload has its own "id"`},
		{"field kind", entry(`"kind":"k","socketEvent":"e","schema":true,"payload":["kind"]`), `payload: every payload has its own "kind"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "my kinds.json")
			if err := os.WriteFile(path, []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := messaging.LoadCatalogue(path)
			if !errors.Is(err, messaging.ErrInvalidCatalogue) {
				t.Fatalf("got %v, want %v", err, messaging.ErrInvalidCatalogue)
			}
			text := err.Error()
			if !strings.Contains(text, path) || !strings.Contains(text, test.want) || strings.Contains(text, "\n") {
				t.Errorf("got %s\nwant one line with %s and %s", text, path, test.want)
			}
		})
	}
}

func TestLoadCatalogueWithoutAFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "none.json")
	if _, err := messaging.LoadCatalogue(path); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
}
