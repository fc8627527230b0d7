// Package clients describes the connected clients of a gateway to operators, and has the
// questions about them that all gateways are asked: who is connected, what one client has
// received, who follows a job, and to disconnect some.
//
// The gateway is a [Source]; [Answer] answers a question of another process from it. The
// functions that merge the answers of several gateways are here too, so that both sides
// agree on the order and on the bounds.
//
// No value has a token, a private id, or the id of a transport's session. The texts that
// come from clients are cut at [MaxTextBytes].
//
// The package starts no goroutine.
package clients
