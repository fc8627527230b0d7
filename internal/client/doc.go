// Package client is the command line's side of the service: a publisher that
// waits for receipts, and a reader of one job's event stream.
//
// Data goes out through Redis, as any worker's does, and comes in over
// Server-Sent Events, as any browser's does. Nothing here runs after a call has
// returned.
package client
