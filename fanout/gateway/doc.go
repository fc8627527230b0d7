// Package gateway speaks the contract with clients, over Socket.IO, Server-Sent Events
// and REST.
//
// The handlers of [Gateway] receive requests; guardrails decide about each request, and the
// gateway enforces the decision, counts it and answers. Each job that a client follows is a
// subscription of package hub, which passes the job's events to the client's sink: the queue
// of a socket or of an event stream. [Encoder] makes the wire form of an event.
//
// Invariants:
//
//   - What a client holds (its place among the connections, its subscriptions, its timers)
//     is freed exactly once, when its socket or request ends.
//   - A session belongs to one socket at a time: the socket that joined last.
//   - An event's payload is encoded once per wire format, for all clients. With
//     connection state recovery, a socket that follows several jobs gets a packet with
//     its own offset: about 1.5 µs and 0.8 kB for 330 bytes and two jobs, 5 µs and 2 kB
//     for twenty (BenchmarkOffsetOfSeveralJobs). During the delivery of an event, sockets with
//     equal offsets share up to four such packets.
//   - A client receives a code with fixed text, or a description of what is wrong with its
//     query, and never the text of an internal error.
//
// Goroutines: until its context ends, [Gateway.Run] keeps sessions from expiring, and removes
// evicted sessions from the store. A socket has timers for its idle time and its token, and an
// event stream has one for its token; they stop when the socket or the stream ends. The
// goroutine of its request writes an event stream.
//
// Locks are taken in one order: client, gateway or hub, sink. No lock is held while a store is
// read; [Sessions] writes asynchronously.
//
// The wire protocols are separate packages: engineio, and socketio, which uses engineio.
package gateway
