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
// queue, which is bounded in bytes; the session's transport takes from it what
// it has room for:
//
//	Offer/Send → queue → melody's channel (≤ 7 frames) → conn (collects) → network
//	                   → the waiting poll's response
//
// # Invariants
//
//   - melody is never given a frame it has no room for, because it would drop
//     it without an error.
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
// A WebSocket has two, both melody's: one reads the connection and one writes. Both
// end with the connection. The reader hands each packet to a worker, which runs the
// callbacks, and waits for it; workers are shared by all WebSockets, and end with
// [Server.Shutdown]. Polling uses net/http's goroutines. The heartbeat is one timer per
// session; a function that a timer or [Session.Later] runs has a goroutine for that time.
// [Server.Shutdown] ends all sessions, and waits for every callback until its context ends.
package engineio
