// Package socketio serves Socket.IO 5 on package engineio: namespaces, events,
// acknowledgements in both directions, and binary attachments. It does not interpret
// events.
//
// Source: the Socket.IO protocol, revision 5
// (https://github.com/socketio/socket.io-protocol).
//
// # Data flow
//
// In: an Engine.IO message is decoded to a packet; CONNECT makes a [Socket] and
// asks [Handler.Connect], EVENT goes to [Handler.Event] (or
// [BinaryHandler.BinaryEvent]), ACK to the function given to [Socket.EmitWithAck].
//
// Out: [Socket.Emit] encodes and queues; [Socket.Offer] queues a packet that was
// encoded once for many sockets ([EncodeEvent]) and says when there is no room.
//
// # Invariants
//
//   - All callbacks of one connection run one at a time, under no lock, and never
//     on a goroutine that is inside a method of one of its sockets.
//   - Disconnect is called exactly once for every accepted Connect, and is the
//     socket's last callback.
//   - What Connect emits follows the answer to CONNECT.
//   - A malformed packet closes its connection and nothing else.
//   - Everything a client can make us keep is capped: namespaces, attachments
//     (count, bytes, time), pending acknowledgements, time without a namespace.
//
// # Goroutines
//
// Those of package engineio, which also runs the callbacks; one timer per
// connection that owes us something, and one per pending acknowledgement. All
// end with the connection.
package socketio
