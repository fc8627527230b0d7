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
//     connection state recovery, a socket that follows several jobs gets a copy of
//     the packet with an offset of its own: about 1.5 µs and 0.8 kB for 330 bytes and
//     two jobs, 5 µs and 2 kB for twenty (BenchmarkOffsetOfSeveralJobs).
//   - What a client is told is a code with fixed text, never an error's own.
//
// Goroutines: [Gateway.Run] keeps sessions from expiring, until its context ends. A
// socket has timers for its idle time and its token, which its end stops; an event
// stream is written by its request's own goroutine.
//
// Locks are taken in one order: client, gateway or hub, sink. None is held during a
// request to a store.
//
// The wire protocols are packages of their own: engineio, and socketio on it.
package gateway
