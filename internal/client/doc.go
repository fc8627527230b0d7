// Package client has the requests of the command line to a running service: publishing
// events and waiting for their receipts, checking published events, following the events of
// one job, and checking a gateway's health.
//
// It publishes through Redis, as workers do, and reads Server-Sent Events, as browsers do.
// No goroutine outlives the call that started it.
package client
