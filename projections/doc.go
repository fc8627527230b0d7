// Package projections keeps the read models of the log in MongoDB, and reads
// them back for catch-up.
//
// Records come from the log through [Log], one durable consumer a projection,
// and are acknowledged there after MongoDB has them on a majority:
//
//	history    every record      → novel_job_events
//	job-heads  last job-status   → novel_job_heads
//
// Older writers' documents in novel_job_events (they have no sequence) and the
// workers' aggregate novel_jobs are read and never written. Documents that a worker
// writes of events which are in the log as well are adopted in place of the
// projection's own, so that each event stands once: see adopt.go. Those that a worker
// writes of erased events are removed: see erased.go.
//
// # Invariants
//
//   - A repeat is harmless. A document's _id is a function of the record's
//     position, so that a record is inserted once, and a head is replaced by a
//     later sequence only.
//   - What is read back is what the log holds. Not all JSON survives the conversion to
//     BSON and back (1.0, 1e2, numbers past 64 bits, escapes, repeated keys), so the
//     conversion is tried before the write. Where it is not exact, the document also has
//     the compacted envelope, as the string raw, which readers prefer.
//   - A document that MongoDB refuses does not hold up its neighbours: it is
//     written with its scalars and raw only, and, failing that, as a marker, on
//     which reads answer [ErrIncomplete]. A record over which a projection panics
//     gets the marker too, and is tried again. Other failures are returned to
//     the log, which offers the batch again.
//   - History is acknowledged only while the collection has what was acknowledged
//     before. A collection that was dropped is not re-created with the newest events
//     alone, see [ErrLost].
//   - MongoDB may be absent at any time, also at the start. Writes are repeated
//     until it is there, reads answer [ErrUnavailable] within their time limit;
//     the log has everything, so callers read there.
//
// # Rebuilding
//
// A [Model] is one projection for those who rebuild it: a shadow collection that is
// filled while the live one is in use and takes its place by renames, and the collections
// that were put aside. An [Audit] compares either with a fold of the log. What cannot
// be re-created from the log is carried over: documents of older writers, of earlier epochs,
// and of records that retention has removed. Package operations/rebuild calls them, and
// pauses the live consumer meanwhile.
//
// Sequences are compared within one epoch only. Documents of an earlier epoch whose
// events the log has lost stay in novel_job_events and are not served; see supersede.go.
//
// [New] starts nothing. [Store.Run] owns the goroutines of the consumers, of the
// adopter, of the index builder and of the attempts to restore omitted records, and returns
// after them.
package projections
