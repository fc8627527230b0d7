// Package redisdial finds the Redis server that carries the events and opens connections
// to it: one server, the primary that Sentinels name, or a node of a Redis Cluster; with
// TLS and users where they are set.
//
// The address and the secrets come from the settings. Everything that speaks Redis uses
// [Servers.Options], whose dialer asks for the server again with each connection. After a
// failover the server before may still answer, and what is published elsewhere does not
// reach a subscription there. So [Servers.Run] asks every second, and closes the
// connections to a server that has been replaced: their owners connect again.
//
// Pub/sub in a Redis Cluster reaches every node, whichever one a worker publishes on. The
// gateway uses the primary that owns the slot of the events channel.
//
// Goroutines: Run starts none.
package redisdial
