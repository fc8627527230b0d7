// Package cli has the shared parts of the programs' command lines: usage errors, output as
// a table or as JSON, progress of long commands, and a writer that escapes control
// characters of a terminal.
//
// It does not depend on the service and starts no goroutine.
package cli
