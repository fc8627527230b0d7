// Package engineio serves Engine.IO 4: sessions over WebSocket and HTTP
// long-polling, the upgrade from one to the other, and the heartbeat. What the
// messages mean is up to the [Receiver].
//
// Source: the Engine.IO protocol, revision 4
// (https://github.com/socketio/engine.io-protocol).
//
// # Data flow
//
// In: a WebSocket message or a packet of a POST becomes a [Packet]; the session
// answers the heartbeat and hands messages to its [Receiver].
//
// Out: [Session.Offer] and [Session.Send] put a [Frame] into the session's
// queue, which is bounded in bytes; the session's transport takes from it:
//
//	Offer/Send → queue → a writer, up to 16 KiB at once → network
//	                   → the waiting poll's response
//
// # Invariants
//
//   - melody is given no frame to write, because it drops those that its channel
//     has no room for, without an error.
//   - A writer never waits for a client.
//   - The queue belongs to the session: an upgrade changes the transport and
//     keeps the order.
//   - Frames are shared between sessions and never modified.
//   - Callbacks of one session run one at a time and under no lock. Close is the
//     last and runs exactly once.
//   - A client that accepts nothing for WriteTimeout is cut. One that is slow is not, but
//     a ping waits behind what is queued for it for five ping timeouts at most, unless
//     the client sends something.
//
// # Goroutines
//
// A WebSocket has one goroutine, which reads the connection and ends with it. It hands each
// packet to a worker, which runs the callbacks, and waits for it; workers are shared by all
// WebSockets. So are the writers, one for each processor; a client that takes less than
// there is for it has a goroutine that writes to it alone. Workers and writers end with
// [Server.Shutdown]. Polling uses net/http's goroutines. The heartbeat is one timer per
// session; a function that a timer or [Session.Later] runs has a goroutine for that time.
// [Server.Shutdown] ends all sessions, and waits for every callback until its context ends.
package engineio
