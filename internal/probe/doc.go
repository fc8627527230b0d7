// Package probe finds out what a server speaks that has closed a connection without an
// answer, which a wrong setting of TLS and a server that does not work have in common: it
// connects once more, in the other way.
//
// Errors of the packages that own the backends come in, and the answer decides which
// setting they name. Each question is one connection, which is closed within [Timeout].
// The package starts no goroutine.
package probe
