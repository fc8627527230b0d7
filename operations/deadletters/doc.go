// Package deadletters lets operators look at the events that were refused, send
// them again, and remove them.
//
// Letters come from the log's dead-letter stream, oldest first, and those that a
// [Filter] lets through are handed on one by one, so that memory does not grow
// with their number. A redrive checks a letter again, with the catalogue of today,
// appends it as ingest would have, and removes it after that: what is interrupted
// in between is appended again under the same identity, and stored once.
//
// The package starts no goroutines. Its functions may run beside gateways, and
// beside each other.
package deadletters
