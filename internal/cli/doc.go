// Package cli has what the programs' command lines share: errors of usage, output as a
// table or as JSON, progress of long commands, and a writer that keeps what is printed
// from steering a terminal.
//
// It depends on nothing of the service and starts no goroutine.
package cli
