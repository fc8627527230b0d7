// Package wait waits for a time or for the end of a context, whichever comes first, and
// repeats work beside its caller. Only [Every] starts a goroutine, which its caller ends.
package wait
