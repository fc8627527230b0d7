// Package wait waits for a duration or for the end of a context, whichever comes first, and
// repeats work in the background. Only [Every] starts a goroutine, which its caller ends.
package wait
