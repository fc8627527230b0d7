package messaging

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// ErrUnknownKind is returned for a record whose kind is not in the catalogue: it
// was published while CATALOGUE_FILE named another file, for example.
// A retry helps only with a catalogue that has the kind.
var ErrUnknownKind = errors.New("unknown kind")

// Catalogue contains the kinds of events: for each kind its Socket.IO event, the
// schema of its envelopes, and the fields of the envelope that its payload has.
// A product with other events adds kinds in a file ([LoadCatalogue]), without
// code.
//
// It may be used concurrently. Only [Catalogue.Replace] changes it. The zero Catalogue has
// no kinds.
type Catalogue struct{ current atomic.Pointer[kinds] }

// kinds are the kinds of a catalogue at one time.
type kinds struct {
	entries map[Kind]*entry
	// names lists the kinds in the form that refusals use.
	names string
	// origin is a digest of the files that the kinds were read from, empty for the
	// built-in kinds. Catalogues of equal files have equal origins.
	origin string
}

// now returns the kinds that the catalogue has now.
func (c *Catalogue) now() *kinds {
	if current := c.current.Load(); current != nil {
		return current
	}
	return new(kinds)
}

// Replace replaces the kinds of the catalogue with those of other, and reports whether
// they were read from files with another content. It must not be called on
// [DefaultCatalogue], nor concurrently with itself.
func (c *Catalogue) Replace(other *Catalogue) (changed bool) {
	before, next := c.now(), other.now()
	c.current.Store(next)
	return before.origin != next.origin
}

// entry is one kind of a catalogue.
type entry struct {
	kind        Kind
	socketEvent string
	schema      *jsonschema.Schema
	shape       shape // nil for a kind of a catalogue file
	payload     []payloadField
	// itemHead is the beginning of the kind's REST items, up to the jobId.
	itemHead string
}

// payloadField is one field that a payload takes from the envelope.
type payloadField struct {
	name string
	// lead precedes the value in the payload: a comma, the name, a colon.
	lead string
}

// Kinds returns the kinds in alphabetical order.
func (c *Catalogue) Kinds() []Kind { return slices.Sorted(maps.Keys(c.now().entries)) }

// SocketEvent returns the name of the Socket.IO event that delivers a kind, and
// whether the catalogue has the kind.
func (c *Catalogue) SocketEvent(kind Kind) (string, bool) {
	entry, ok := c.now().entries[kind]
	if !ok {
		return "", false
	}
	return entry.socketEvent, true
}

// find returns the entry of the kind of an envelope, given as JSON.
func (c *Catalogue) find(kind []byte) (*entry, error) {
	now := c.now()
	if !isText(kind) {
		return nil, reject(ReasonSchemaViolation, "kind: must be one of %s", now.names)
	}
	name := unquote(kind)
	if entry, ok := now.entries[Kind(name)]; ok {
		return entry, nil
	}
	return nil, reject(ReasonUnknownKind, "kind %q: must be one of %s", firstRunes(name, maxPartRunes), now.names)
}

// newCatalogue returns a catalogue of entries with different kinds. See kinds.origin for
// origin.
func newCatalogue(entries []*entry, origin string) *Catalogue {
	now := &kinds{entries: make(map[Kind]*entry, len(entries)), origin: origin}
	for _, entry := range entries {
		now.entries[entry.kind] = entry
	}
	var names []string
	for _, kind := range slices.Sorted(maps.Keys(now.entries)) {
		names = append(names, fmt.Sprintf("%q", kind))
	}
	now.names = strings.Join(names, ", ")
	c := new(Catalogue)
	c.current.Store(now)
	return c
}

func newEntry(kind Kind, socketEvent string, schema *jsonschema.Schema, payload []string) *entry {
	e := &entry{kind: kind, socketEvent: socketEvent, schema: schema}
	e.itemHead = string(append(appendText([]byte(`{"kind":`), string(kind)), `,"jobId":`...))
	for _, name := range payload {
		lead := append(appendText([]byte{','}, name), ':')
		e.payload = append(e.payload, payloadField{name: name, lead: string(lead)})
	}
	return e
}
