// Package probe finds out which protocol a server speaks that has closed a connection
// without an answer, which may be caused by a wrong TLS setting or by a broken server: it
// connects once more, the other way.
//
// The packages that own the backends pass in their errors, and the result decides which
// setting these name. Each probe is one connection, which is closed within [Timeout]. The
// package starts no goroutine.
package probe
