package messaging

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// ErrInvalidCatalogue is returned by [LoadCatalogue] for a file that does not
// describe a catalogue. A retry does not help.
var ErrInvalidCatalogue = errors.New("invalid catalogue")

// embeddedSchemas holds the schemas of everything on the wire, and the built-in
// catalogue.
//
//go:embed schemas/*.json
var embeddedSchemas embed.FS

// schemaBase is the beginning of the $id of each embedded schema.
const schemaBase = "https://github.com/letswriteabook/realtime/schemas/"

// maxKindBytes bounds the names of kinds and of socket events: each message contains
// both.
const maxKindBytes = 64

// catalogueFile is a catalogue in a file.
type catalogueFile struct {
	// Schema is for editors, which check the file with it; this package ignores it.
	Schema string      `json:"$schema"`
	Kinds  []kindEntry `json:"kinds"`
}

// kindEntry is a kind in a file.
type kindEntry struct {
	Kind        string `json:"kind"`
	SocketEvent string `json:"socketEvent"`
	// Schema is a JSON Schema, or the path of a schema file relative to this file.
	Schema  json.RawMessage `json:"schema"`
	Payload []string        `json:"payload"`
}

// DefaultCatalogue returns the catalogue of the three built-in kinds. Every call
// returns the same catalogue.
func DefaultCatalogue() *Catalogue { return defaultCatalogue() }

var defaultCatalogue = sync.OnceValue(func() *Catalogue {
	entries, err := newLoader().builtIn()
	if err != nil {
		// The built-in catalogue is part of the program.
		panic(err)
	}
	return newCatalogue(entries, "")
})

// LoadCatalogue returns a catalogue of the built-in kinds and of those in the file
// at path, which has the form of schemas/catalogue.json:
//
//	{"kinds": [{"kind": "chapter-note", "socketEvent": "novel.chapter-note",
//	            "schema": "chapter-note.json", "payload": ["note"]}]}
//
// The schema is a JSON Schema of the whole envelope (draft 2020-12 unless its
// $schema is another), or the path of a schema file relative to this file. It may
// refer to the schemas of this package by their $id; no schema is fetched over the
// network. [Catalogue.Decode] makes its other checks for these kinds as well.
//
// The error wraps [ErrInvalidCatalogue], and names the file, the kind and the
// field; or it is the error of reading the file.
func LoadCatalogue(path string) (*Catalogue, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read catalogue: %w", err)
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("find catalogue %s: %w", path, err)
	}
	loader := newLoader()
	entries, err := loader.builtIn()
	if err != nil {
		return nil, err
	}
	base := url.URL{Scheme: "file", Path: filepath.ToSlash(absolute)}
	if entries, err = loader.add(entries, text, base); err != nil {
		return nil, fmt.Errorf("%w %s: %w", ErrInvalidCatalogue, path, err)
	}
	loader.read.Write(text)
	return newCatalogue(entries, string(loader.read.Sum(nil))), nil
}

// loader reads catalogues and compiles their schemas.
type loader struct {
	compiler *jsonschema.Compiler
	read     hash.Hash // of the content of the files that were read
}

func newLoader() *loader {
	read := sha256.New()
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.UseLoader(jsonschema.SchemeURLLoader{"file": fileLoader{read}, "https": embeddedLoader{}})
	return &loader{compiler: compiler, read: read}
}

// builtIn returns the entries of the embedded catalogue.
func (l *loader) builtIn() ([]*entry, error) {
	text, err := embeddedSchemas.ReadFile("schemas/catalogue.json")
	if err != nil {
		return nil, fmt.Errorf("read built-in catalogue: %w", err)
	}
	base, err := url.Parse(schemaBase + "catalogue.json")
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w", schemaBase, err)
	}
	entries, err := l.add(nil, text, *base)
	if err != nil {
		return nil, fmt.Errorf("read built-in catalogue: %w", err)
	}
	for _, entry := range entries {
		entry.shape = builtInShapes[entry.kind]
	}
	return entries, nil
}

// add returns entries together with those that text describes. Paths in text are
// relative to base.
func (l *loader) add(entries []*entry, text []byte, base url.URL) ([]*entry, error) {
	var file catalogueFile
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&file); err != nil {
		return nil, fmt.Errorf("read as JSON: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("read as JSON: there is something after the object")
	}
	if len(file.Kinds) == 0 {
		return nil, errors.New("kinds: must have at least one")
	}
	for i, k := range file.Kinds {
		if err := k.check(entries); err != nil {
			return nil, fmt.Errorf("kind %d %q: %w", i+1, k.Kind, err)
		}
		schema, err := l.compile(k, base)
		if err != nil {
			return nil, fmt.Errorf("kind %d %q: schema: %w", i+1, k.Kind, err)
		}
		entries = append(entries, newEntry(Kind(k.Kind), k.SocketEvent, schema, k.Payload))
	}
	return entries, nil
}

// compile compiles the schema of a kind.
func (l *loader) compile(k kindEntry, base url.URL) (*jsonschema.Schema, error) {
	var path string
	if json.Unmarshal(k.Schema, &path) == nil {
		ref, err := url.Parse(filepath.ToSlash(path))
		if err != nil {
			return nil, fmt.Errorf("parse path %q: %w", path, err)
		}
		return l.compileAt(base.ResolveReference(ref).String())
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(k.Schema))
	if err != nil {
		return nil, fmt.Errorf("read as JSON: %w", err)
	}
	// The query gives each schema of the file a location of its own. References in
	// a schema stay relative to the file.
	base.RawQuery = url.Values{"kind": {k.Kind}}.Encode()
	if err := l.compiler.AddResource(base.String(), document); err != nil {
		return nil, fmt.Errorf("add: %w", err)
	}
	return l.compileAt(base.String())
}

// compileAt compiles the schema at location. Its errors have one line.
func (l *loader) compileAt(location string) (*jsonschema.Schema, error) {
	schema, err := l.compiler.Compile(location)
	var invalid *jsonschema.SchemaValidationError
	if errors.As(err, &invalid) {
		return nil, fmt.Errorf("%s is not a JSON Schema: %s", invalid.URL, describeViolation(invalid.Err))
	}
	return schema, err
}

// check checks a kind, except its schema. entries are the kinds before it.
func (k kindEntry) check(entries []*entry) error {
	if err := checkName(k.Kind); err != nil {
		return fmt.Errorf("kind: %w", err)
	}
	if err := checkName(k.SocketEvent); err != nil {
		return fmt.Errorf("socketEvent: %w", err)
	}
	if slices.Contains(reservedEvents, k.SocketEvent) {
		return fmt.Errorf("socketEvent: %q is an event of the protocol itself", k.SocketEvent)
	}
	for _, entry := range entries {
		if string(entry.kind) == k.Kind {
			return errors.New("kind: there is one of this name already")
		}
		if entry.socketEvent == k.SocketEvent {
			return fmt.Errorf("socketEvent: %q is the event of kind %q already", k.SocketEvent, entry.kind)
		}
	}
	if len(k.Schema) == 0 || string(k.Schema) == "null" {
		return errors.New("schema: must be a JSON Schema, or the path of one")
	}
	if k.Payload == nil {
		return errors.New("payload: must list the fields of the envelope that clients get; an empty list is allowed")
	}
	for i, field := range k.Payload {
		if field == "" {
			return errors.New("payload: the name of a field must not be empty")
		}
		if slices.Contains(reservedFields, field) {
			return fmt.Errorf("payload: every payload has its own %q", field)
		}
		if slices.Contains(k.Payload[:i], field) {
			return fmt.Errorf("payload: %q is listed twice", field)
		}
	}
	return nil
}

// reservedEvents are the names that are not allowed for the Socket.IO event of a
// kind: the events of this protocol, and those that Socket.IO reserves.
var reservedEvents = []string{
	EventSubscribe, EventUnsubscribe, EventRefresh, EventPing, EventPong, EventSubscribed, EventUnsubscribed,
	EventCaughtUp, EventGap, EventError,
	"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener",
}

// reservedFields are the fields that payloads and items of all kinds have.
var reservedFields = []string{"kind", "jobId", "emittedAt", "sequence", "id", "replay"}

func checkName(name string) error {
	if name == "" || len(name) > maxKindBytes || ValidateJobID(name) != nil {
		return fmt.Errorf("must be a non-empty string of at most %d bytes without control characters", maxKindBytes)
	}
	return nil
}

// fileLoader reads schemas from files, and adds what it has read to a hash.
type fileLoader struct{ read hash.Hash }

// Load implements [jsonschema.URLLoader].
func (l fileLoader) Load(location string) (any, error) {
	path, err := jsonschema.FileLoader{}.ToFile(location)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	l.read.Write(text)
	return jsonschema.UnmarshalJSON(bytes.NewReader(text))
}

// embeddedLoader loads the schemas of this package by their $id.
type embeddedLoader struct{}

// Load implements [jsonschema.URLLoader].
func (embeddedLoader) Load(location string) (any, error) {
	name, ok := strings.CutPrefix(location, schemaBase)
	if !ok {
		return nil, fmt.Errorf("%s: schemas are not fetched over the network", location)
	}
	text, err := embeddedSchemas.ReadFile("schemas/" + name)
	if err != nil {
		return nil, fmt.Errorf("find built-in schema: %w", err)
	}
	return jsonschema.UnmarshalJSON(bytes.NewReader(text))
}
