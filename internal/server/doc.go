// Package app wires the service: it reads the settings, opens the backends, and
// starts and stops the parts in order.
//
// Data flows one way. Redis and HTTP requests feed ingest; ingest
// appends to the event store; the event store feeds the projections and the
// hub; the hub feeds the sockets. The small interfaces that each part declares
// for what it needs are satisfied here, by the part itself or by an adapter.
//
// [App.Run] owns every goroutine: it starts the parts, waits for the end of its
// context or the first failure, and stops the parts in reverse, each a named
// step, within one deadline.
package server
