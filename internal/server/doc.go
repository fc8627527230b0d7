// Package server wires the gateway: it opens the backends that the settings name, and
// starts and stops the parts in order.
//
// Data flows one way. Redis and HTTP requests feed ingest; ingest appends to the event
// store; the event store feeds the projections and the hub; the hub feeds the sockets.
// Each part declares small interfaces for what it needs. They are implemented by other
// parts, or by the adapters of this package.
//
// [App.Run] owns every goroutine: it starts the parts, waits for the end of its context or
// for the first failure, and stops the parts in reverse order. Each stop is a named step,
// and all share one deadline.
package server
