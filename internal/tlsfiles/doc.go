// Package tlsfiles reads certificates, keys and authorities from PEM files, and reads
// them again when they change: certificates are replaced every few weeks, and no
// connection should be cut for it.
//
// The paths come from the settings; the result goes to the listeners and to the
// connections to the backends. What is in use stays in use while the files cannot be
// read or do not belong together, as in the middle of a replacement.
//
// The package starts no goroutine. Its types may be used concurrently.
package tlsfiles
