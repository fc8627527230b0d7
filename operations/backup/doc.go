// Package backup writes the streams of the log into a folder and re-creates them
// from it.
//
// Data comes from the NATS server as snapshots in its own format
// (archive.Archive), one folder a stream, which the `nats` CLI reads and writes
// too; beside them stands a manifest with the checksum of each file:
//
//	DIR/manifest.json
//	DIR/NOVEL_EVENTS/backup.json      configuration and state
//	DIR/NOVEL_EVENTS/stream.arc.s2    the snapshot; stream.tar.s2 by servers before 2.15
//	DIR/NOVEL_DEADLETTER/…
//
// The manifest is written last: a folder without one is an interrupted backup, and
// the next into it starts over. Nothing here runs after a call has returned.
package backup
