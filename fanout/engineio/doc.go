// Package engineio serves Engine.IO 4: sessions over WebSocket and HTTP
// long-polling, the upgrade from one to the other, and the heartbeat. The [Receiver]
// interprets the messages.
//
// Source: the Engine.IO protocol, revision 4
// (https://github.com/socketio/engine.io-protocol).
//
// # Data flow
//
// In: a WebSocket message or a packet of a POST becomes a [Packet]; the session
// answers the heartbeat and passes messages to its [Receiver].
//
// Out: [Session.Offer] and [Session.Send] put a [Frame] into the session's
// queue, which is bounded in bytes; the session's transport takes frames from the queue:
//
//	Offer/Send → queue → a writer, up to 16 KiB at once → network
//	                   → the waiting poll's response
//
// # Invariants
//
//   - Frames are not written through melody, because melody drops a frame without an error
//     when its channel is full.
//   - A writer never waits for a client.
//   - The queue belongs to the session: an upgrade changes the transport and
//     keeps the order.
//   - Frames are shared between sessions and never modified.
//   - Callbacks of one session run one at a time and under no lock. Close is the
//     last and runs exactly once.
//   - A client that accepts nothing for WriteTimeout is disconnected. A slow client is not,
//     unless a ping waits behind its queued frames for more than five ping timeouts while
//     the client sends nothing.
//
// # Goroutines
//
// A WebSocket has one goroutine, which reads the connection and ends with it. It passes each
// packet to a worker, which runs the callbacks, and waits for the worker. All WebSockets
// share the workers and the writers, of which there is one for each processor. A client that
// accepts less than is queued for it has a goroutine that writes to this client only. Workers and writers end with
// [Server.Shutdown]. Polling uses net/http's goroutines. The heartbeat is one timer per
// session; a function that a timer or [Session.Later] runs has a goroutine for that time.
// [Server.Shutdown] ends all sessions, and waits for every callback until its context ends.
package engineio
