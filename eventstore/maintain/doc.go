// Package maintain is what operators do to the log while gateways use it: scan records and
// publish them again, count followers, inspect streams and consumers, pause and remove
// consumers, change settings, erase and purge jobs.
//
// Saving and restoring streams is package archive; the leases that keep two operations
// apart are package lease.
package maintain
