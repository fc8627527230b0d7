// Command conformance serves what the public protocol suites of Engine.IO and
// Socket.IO expect, on the same packages as the gateway. It is not shipped.
//
//	go run ./internal/conformance -addr 127.0.0.1:3000
//
// Engine.IO answers on /engine.io/ and echoes every message. Socket.IO answers
// on /socket.io/ in the namespaces / and /custom: a socket is sent its auth,
// "message" is answered by "message-back" with the same arguments, and
// "message-with-ack" is acknowledged with its arguments.
//
// One goroutine serves HTTP, started and stopped by run.
package main
