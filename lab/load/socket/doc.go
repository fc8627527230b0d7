// Package socket is a Socket.IO 5 client over Engine.IO 4 and WebSocket. One process
// can hold tens of thousands of sockets: each has one goroutine and small buffers, and
// parses only what its caller asks for.
//
// It depends on the service's contract and on nothing else of the service. [Dial]
// opens the connection and joins the default namespace; [Open] and [Socket.Connect] do
// the two steps apart, and [Socket.Send] sends malformed packets too, as tests need it.
// Events go to [Config.Handler], on the socket's goroutine, or wait for [Socket.Next].
// A socket does not reconnect: dial again, with the cursor of each subscription or with
// what [Socket.Recovery] returns.
//
// The packets it reads, as text:
//
//	0{…}            Engine.IO open: the intervals of the heartbeat
//	2 · 3           ping, which is answered · pong
//	40{…} · 44{…}   CONNECT is accepted, or refused
//	42["name",…]    event; 42 and a number asks for an acknowledgement, which is not sent
//	43n[…]          the answer to event n
//	41 · 1          the server disconnected the client, or closed the transport
//
// # Invariants
//
//   - A handler that blocks stops the reading, so the client becomes a slow one.
//   - A server that is silent for longer than its heartbeat allows ends the socket.
//   - [Socket.Ended] is closed after the last call of the handler.
//
// The one goroutine of a socket ends with its connection, which [Socket.Close] and
// [Socket.Kill] end.
package socket
