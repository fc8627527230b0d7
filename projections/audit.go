package projections

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/letswriteabook/realtime/messaging"
)

// An audit compares a collection with a fold of the log, in memory that does not
// grow with the log. First it reads both once, and computes for each job how many
// documents there are and the sum of their hashes, which does not depend on their
// order. Jobs share [lanes] sums, by the hash of their names. If all sums are equal,
// the audit is done. Otherwise it reads the log and the collection again, in as many
// parts as the differing lanes need, and compares document with document.
const (
	lanes = 1 << 16
	// partDocuments is how many expected documents are held at once.
	partDocuments = 200_000
)

// What is wrong with a document.
const (
	Missing   = "missing"   // the log has the record, the collection not the document
	Extra     = "extra"     // the log has no such record
	Different = "different" // the document is another than the log makes of the record
)

// Difference is one document that differs from what the log makes of its record.
type Difference struct {
	What     string `json:"what"`
	Job      string `json:"job"`
	Sequence uint64 `json:"sequence"`
}

// Findings are what an [Audit] found.
type Findings struct {
	// Expected is the number of documents that the log makes. Found is the number of
	// documents of the collection that have a record in the extent.
	Expected uint64 `json:"expected"`
	Found    uint64 `json:"found"`
	// Kept are documents without a record in the log. Ahead are documents of records
	// after the extent. Neither are compared.
	Kept  uint64 `json:"kept"`
	Ahead uint64 `json:"ahead"`
	// Adopted are documents that workers wrote and that were adopted for their records.
	// What is compared is the document that the projection would have written.
	Adopted uint64 `json:"adopted"`
	// Doubled are documents in excess of one for each event. It is 0 unless
	// [Model.Mend] has counted them.
	Doubled uint64 `json:"doubled"`
	// Erased are documents that workers wrote of an event after it was erased. It is 0
	// unless [Model.Mend] has counted them.
	Erased uint64 `json:"erased"`
	// Reduced are documents without all of their event, because MongoDB refused it.
	Reduced   uint64 `json:"reduced"`
	Missing   uint64 `json:"missing"`
	Extra     uint64 `json:"extra"`
	Different uint64 `json:"different"`
	// JobsDiffering is the number of lanes whose sums differ after the first reading.
	JobsDiffering int `json:"jobsDiffering"`
	// Digest is a hash of all expected documents. It does not depend on their order.
	Digest string `json:"digest"`
	// Differences are the first ones, by sequence.
	Differences []Difference `json:"differences,omitempty"`
}

// Equal reports whether the collection equals the fold of the log.
func (f Findings) Equal() bool { return f.Missing == 0 && f.Extra == 0 && f.Different == 0 }

// Audit is one comparison. The caller passes every record of the extent to
// [Audit.Expect], and calls [Audit.Sum] once, which may run in another goroutine
// meanwhile; then [Audit.Compare]. While [Audit.Next] reports true, it passes every record
// to Expect again where [Audit.Rereads] says so, and calls [Audit.Match]. All but Sum are for
// one goroutine.
type Audit struct {
	model  *Model
	store  *Store
	extent messaging.Extent
	show   int

	wanted, there *[lanes]sum // by lane; nil for heads, which are few enough to be held
	expected      map[string]expected
	parts, part   int // how many parts the second reading has, and which one it is at; part is 0 in the first reading
	findings      Findings
}

// sum counts the documents of a lane, and adds up their hashes as two numbers.
type sum struct{ count, high, low uint64 }

func (s *sum) add(hash [sha256.Size]byte) {
	s.count++
	s.high += binary.BigEndian.Uint64(hash[:])
	s.low += binary.BigEndian.Uint64(hash[8:])
}

// expected is a document that the log makes, in each shape.
type expected struct {
	job      string
	sequence uint64
	shapes   [shapes]uint64
}

// Audit returns a comparison of the projection's collection, or of its shadow,
// with the extent. It keeps the first show differences.
func (m *Model) Audit(shadow bool, extent messaging.Extent, show int) *Audit {
	a := &Audit{model: m, store: m.live, extent: extent, show: show, expected: make(map[string]expected)}
	if shadow {
		a.store = m.shadow
	}
	if m.name == History {
		a.wanted, a.there = new([lanes]sum), new([lanes]sum)
	}
	return a
}

// Expect takes the next record of the log.
func (a *Audit) Expect(record messaging.Record) error {
	if a.model.name == JobHeads {
		return a.expectHead(record)
	}
	if a.part > 0 && !a.examined(record.JobID, record.Sequence) {
		return nil
	}
	e := newEvent(record)
	if a.part > 0 {
		return a.expect(record.Position.String(), record, e.document)
	}
	raw, err := bson.Marshal(e.document(shapeFull))
	if err != nil {
		return fmt.Errorf("make the document of sequence %d: %w", record.Sequence, err)
	}
	a.wanted[laneOf(record.JobID)].add(sha256.Sum256(raw))
	return nil
}

func (a *Audit) expectHead(record messaging.Record) error {
	if record.Kind != messaging.KindJobStatus {
		return nil
	}
	e := newEvent(record)
	if e.head(shapeBare) == nil {
		return nil
	}
	return a.expect(record.JobID, record, e.head)
}

func (a *Audit) expect(id string, record messaging.Record, document func(shape) bson.D) error {
	want := expected{job: record.JobID, sequence: record.Sequence}
	for s := range shapes {
		raw, err := bson.Marshal(document(s))
		if err != nil {
			return fmt.Errorf("make the document of sequence %d: %w", record.Sequence, err)
		}
		want.shapes[s] = shortHash(raw)
	}
	a.expected[id] = want
	return nil
}

// Sum reads the collection once, and computes the sums of its lanes.
func (a *Audit) Sum(ctx context.Context) error {
	if a.model.name == JobHeads {
		return nil
	}
	return a.each(ctx, func(doc bson.Raw) {
		sequence, held := holds(a.extent, doc)
		switch {
		case !held:
			a.findings.Kept++
		case sequence > a.extent.Last:
			a.findings.Ahead++
		default:
			a.findings.Found++
			if isAdopted(doc) {
				a.findings.Adopted++
			}
			a.there[laneOf(text(doc, fieldJobID))].add(sha256.Sum256(asProjected(doc)))
		}
	})
}

// Compare compares the sums of the log with those of the collection.
func (a *Audit) Compare() {
	if a.model.name == JobHeads {
		a.parts = 1
		return
	}
	var total sum
	var examine uint64
	for i, wanted := range a.wanted {
		a.findings.Expected += wanted.count
		total.high, total.low = total.high+wanted.high, total.low+wanted.low
		if wanted != a.there[i] {
			a.findings.JobsDiffering++
			examine += wanted.count
		}
	}
	a.setDigest(total)
	if a.findings.JobsDiffering > 0 {
		a.parts = int(examine/partDocuments) + 1
	}
}

func (a *Audit) setDigest(total sum) {
	digest := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, total.high), total.low)
	a.findings.Digest = hex.EncodeToString(digest)
}

// Next begins the next part of the second reading, and reports whether there is one.
func (a *Audit) Next() bool {
	if a.part == a.parts {
		return false
	}
	a.part++
	if a.model.name != JobHeads {
		clear(a.expected)
	}
	return true
}

// Rereads reports whether a part needs the records once more. It does not for heads, which
// are all kept in the first reading.
func (a *Audit) Rereads() bool { return a.model.name != JobHeads }

// examined reports whether a document is one of those that this part matches.
func (a *Audit) examined(job string, sequence uint64) bool {
	lane := laneOf(job)
	return a.wanted[lane] != a.there[lane] && int(sequence%uint64(a.parts)) == a.part-1
}

// Match compares the documents of this part with those that are expected. first is the
// log's first sequence after the log was read: documents of records that retention
// has removed meanwhile do not count as missing.
func (a *Audit) Match(ctx context.Context, first uint64) error {
	extent := a.extent
	extent.First = max(extent.First, first)
	heads := a.model.name == JobHeads
	if heads {
		a.countHeads()
	}
	err := a.each(ctx, func(doc bson.Raw) {
		id, job := text(doc, fieldID), text(doc, fieldJobID)
		sequence, held := holds(extent, doc)
		if isAdopted(doc) {
			doc = asProjected(doc)
			id = text(doc, fieldID)
		}
		want, found := a.expected[id]
		delete(a.expected, id)
		if heads {
			switch {
			case held && sequence > extent.Last:
				a.findings.Ahead++
				return
			case held:
				a.findings.Found++
			case !found:
				a.findings.Kept++
				return
			}
		} else if !held || sequence > extent.Last || !a.examined(job, sequence) {
			return
		}
		hash := shortHash(doc)
		switch {
		case !found:
			a.differ(Extra, job, sequence)
		case hash == want.shapes[shapeFull]:
		case slices.Contains(want.shapes[shapeRaw:], hash):
			a.findings.Reduced++
		default:
			a.differ(Different, job, want.sequence)
		}
	})
	if err != nil {
		return err
	}
	for _, want := range a.expected {
		if want.sequence >= extent.First {
			a.differ(Missing, want.job, want.sequence)
		}
	}
	return nil
}

// countHeads counts the expected heads, and computes their digest.
func (a *Audit) countHeads() {
	a.findings.Expected = uint64(len(a.expected))
	var total sum
	for id, want := range a.expected {
		total.add(sha256.Sum256(binary.BigEndian.AppendUint64([]byte(id), want.shapes[shapeFull])))
	}
	a.setDigest(total)
}

// differ counts a difference, and keeps it if it is one of the first by sequence.
func (a *Audit) differ(what, job string, sequence uint64) {
	switch what {
	case Missing:
		a.findings.Missing++
	case Extra:
		a.findings.Extra++
	default:
		a.findings.Different++
	}
	first := a.findings.Differences
	at, _ := slices.BinarySearchFunc(first, sequence, func(d Difference, sequence uint64) int {
		switch {
		case d.Sequence < sequence:
			return -1
		case d.Sequence > sequence:
			return 1
		}
		return 0
	})
	if at < a.show {
		first = slices.Insert(first, at, Difference{What: what, Job: job, Sequence: sequence})
		a.findings.Differences = first[:min(len(first), a.show)]
	}
}

// Findings returns what was found, once [Audit.Next] has reported false.
func (a *Audit) Findings() Findings { return a.findings }

// each calls f with every document of the collection.
func (a *Audit) each(ctx context.Context, f func(bson.Raw)) error {
	collection := a.model.collection(a.store)
	cursor, err := collection.Find(ctx, bson.D{}, options.Find().SetBatchSize(auditBatch))
	if err != nil {
		return fmt.Errorf("read %s: %w: %w", collection.Name(), ErrUnavailable, err)
	}
	defer func() { _ = cursor.Close(context.WithoutCancel(ctx)) }() // Else the server's timeout does it.
	for cursor.Next(ctx) {
		if !isWitness(cursor.Current) {
			f(cursor.Current)
		}
	}
	if err := cursor.Err(); err != nil {
		return fmt.Errorf("read %s: %w: %w", collection.Name(), ErrUnavailable, err)
	}
	return nil
}

// auditBatch is how many documents MongoDB is asked for at once.
const auditBatch = 1000

func laneOf(job string) uint16 {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(job)) // Never fails.
	sum := hash.Sum32()
	return uint16(sum>>16) ^ uint16(sum)
}

func shortHash(raw []byte) uint64 {
	hash := sha256.Sum256(raw)
	return binary.BigEndian.Uint64(hash[:])
}
