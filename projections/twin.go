package projections

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/letswriteabook/realtime/messaging"
)

// A worker may write an event into novel_job_events itself, beside publishing it.
// Then the collection has two documents of one event: the worker's, without a
// sequence, and the projection's. They are twins: of the same job, with the same
// content, and near in time. Equal events are counted: two records and two documents
// of a worker make two pairs.

const (
	// twinWindow is how far the times of twins may be apart. A worker's document
	// has the time at which the event occurred, a record the time at which a gateway
	// received it: a moment later, by another clock.
	twinWindow = 5 * time.Minute
	// lateWindow is how much later than its record a worker's document may have been
	// made where its emittedAt is not near the record's. It does not count for a status,
	// whose only time is emittedAt.
	lateWindow = time.Hour
)

// twin is one document, or one record of the log, as the matching compares it.
type twin struct {
	messaging.Position        // zero for a worker's document
	id                 []byte // the document's _id, with its type; nil for a record of the log
	key                twinKey
	emitted            time.Time // zero when the document has none
	stored             time.Time // by the log, or when the worker made its document
	status             bool
	adopted            bool     // a worker wrote it, and it was adopted
	erased             bool     // a worker wrote it, and the event was erased
	size               int      // of the document, in bytes
	doc                bson.Raw // nil where the matching alone is wanted
}

// twinKey is what twins have in common.
type twinKey struct {
	jobID   string
	content messaging.ContentKey
}

// newTwin returns a record as the matching compares it; false when it has no content.
func newTwin(record messaging.Record) (twin, bool) {
	content, err := messaging.KeyOfContent(record.Kind, record.Body)
	if err != nil {
		return twin{}, false
	}
	emitted, _ := time.Parse(time.RFC3339, record.EmittedAt) // The time stays zero, and is near no other.
	return twin{
		Position: record.Position, key: twinKey{record.JobID, content},
		emitted: emitted, stored: record.StoredAt, status: record.Kind == messaging.KindJobStatus,
	}, true
}

// twinOf returns a document as the matching compares it, and false when it is not an event,
// or does not have the event's content.
func twinOf(doc bson.Raw) (twin, bool) {
	record, err := decodeRecord(doc)
	if err != nil {
		return twin{}, false
	}
	t, ok := newTwin(record)
	t.id, t.adopted, t.size = idOf(doc), isAdopted(doc), len(doc)
	return t, ok
}

// idOf returns the type and the bytes of a document's _id, which no other document has.
func idOf(doc bson.Raw) []byte {
	id := doc.Lookup(fieldID)
	return append([]byte{byte(id.Type)}, id.Value...)
}

// idValue returns the document's _id.
func (t twin) idValue() bson.RawValue {
	return bson.RawValue{Type: bson.Type(t.id[0]), Value: t.id[1:]}
}

// projected reports whether the projection made the document: its _id says so.
func (t twin) projected() bool {
	if t.Sequence == 0 || len(t.id) == 0 {
		return false
	}
	id, ok := t.idValue().StringValueOK()
	return ok && id == t.Position.String()
}

// near reports whether a worker's document may be of the same event as a record that
// has the same content.
func near(worker, record twin) bool {
	if within(worker.emitted, record.emitted, twinWindow, twinWindow) {
		return true
	}
	// The content includes the time at which the event occurred, so that equal contents are
	// of the same time. When the event was published much later, the document was made
	// shortly before or after the record was stored.
	return !worker.status && within(worker.stored, record.stored, twinWindow, lateWindow)
}

// within reports whether at is at most before earlier than base and at most after later.
func within(at, base time.Time, before, after time.Duration) bool {
	if at.IsZero() || base.IsZero() {
		return false
	}
	apart := at.Sub(base)
	return apart >= -before && apart <= after
}

// pair is a worker's document and the record that it is of.
type pair struct{ worker, record twin }

// pairUp finds the pairs among workers' documents and records, in any order. The newest
// record takes the newest document that is near it, so that of equal documents it is
// the oldest that are left, as history from before this service.
func pairUp(workers, records []twin) []pair {
	newestFirst := func(a, b twin) int {
		return cmp.Or(b.emitted.Compare(a.emitted), b.stored.Compare(a.stored), cmp.Compare(b.Sequence, a.Sequence), bytes.Compare(b.id, a.id))
	}
	slices.SortFunc(workers, newestFirst)
	slices.SortFunc(records, newestFirst)
	free := make(map[twinKey][]twin)
	for _, w := range workers {
		free[w.key] = append(free[w.key], w)
	}
	var pairs []pair
	for _, r := range records {
		candidates := free[r.key]
		for i, w := range candidates {
			if near(w, r) {
				pairs = append(pairs, pair{w, r})
				free[r.key] = slices.Delete(candidates, i, i+1)
				break
			}
		}
	}
	return pairs
}
