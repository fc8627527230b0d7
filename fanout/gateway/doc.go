// Package gateway speaks the contract with clients, over Socket.IO, Server-Sent Events
// and REST.
//
// The handlers of [Gateway] receive requests; guardrails decide about each, and the
// gateway enforces, counts and answers. What a client follows is a subscription of the
// package hub, which hands the job's events to the client's sink: the queue of a socket
// or of an event stream. How an event looks there is the [Encoder]'s.
//
// Invariants:
//
//   - All that a client holds (its place among the connections, its subscriptions, its
//     timers) is freed once, when its socket or request ends.
//   - A session belongs to one socket at a time: the one that joined last.
//   - An event's payload is encoded once per wire format, for all clients. With
//     connection state recovery, a socket that follows several jobs gets a packet with
//     its own offset: about 1.5 µs and 0.8 kB for 330 bytes and two jobs, 5 µs and 2 kB
//     for twenty (BenchmarkOffsetOfSeveralJobs). While an event is handed on, sockets with
//     equal offsets share up to four such packets.
//   - A client is told a code with fixed text, or what is wrong with its query, and never
//     an error of the service.
//
// Goroutines: [Gateway.Run] keeps sessions from expiring, and has the store forget those
// that others took the room of, until its context ends. A socket has timers for its idle
// time and its token, and an event stream one for its token; its end stops them. An event
// stream is written by its request's own goroutine.
//
// Locks are taken in one order: client, gateway or hub, sink. None is held while a store is
// read; [Sessions] writes later, in its own time.
//
// The wire protocols are packages of their own: engineio, and socketio on it.
package gateway
