// Package engineio serves Engine.IO 4: sessions over WebSocket and HTTP
// long-polling, the upgrade from one to the other, and the heartbeat. It knows
// nothing of what the messages mean.
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
//   - A client that accepts nothing for WriteTimeout is cut; one that is slow is not.
//
// # Goroutines
//
// A WebSocket has two, both melody's: one reads the connection and runs the
// callbacks, one writes. Both end with the connection. Polling uses net/http's
// only. The heartbeat is one timer per session. [Server.Shutdown] ends all
// sessions and waits for every callback.
package engineio
