// Package wait waits for a time or for the end of a context, whichever comes first.
// It starts no goroutine.
package wait
