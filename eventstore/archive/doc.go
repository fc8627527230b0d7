// Package archive saves and restores the streams of the log in JetStream's own snapshot
// format, and reads every message of a stream or of one of its copies to compare what can
// be read with what the stream says it has.
//
// A stream that is being restored carries a mark until it is whole, so that no gateway
// takes it for the log.
package archive
