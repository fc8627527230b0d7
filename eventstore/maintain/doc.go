// Package maintain is what operators do to the log while gateways use it: inspect streams
// and consumers, pause consumers, change settings, erase and purge jobs.
//
// Saving and restoring streams is package archive; the leases that keep two operations
// apart are package lease.
package maintain
