// Package natsserver runs a nats-server with JetStream inside this process.
//
// Clients reach it through [Server.Conn], which needs no port, and, when
// [Config].Listen is set, over TCP as well, so that operators' tools can look in.
//
// Invariants: a data folder has one owner at a time, which an advisory lock
// held for the life of the server enforces (nats-server itself does not, and
// two servers on one folder destroy it); the operating system drops the lock
// with the process, so a folder left behind by a crash opens again at once.
// The server installs no signal handler and never ends the process.
//
// A server that stopped writing because the disk was full is restarted once
// there is room. Connections made with options to reconnect for ever live on.
//
// Goroutines: [Start] starts those of nats-server and the one that mends it,
// [Server.Close] ends them.
package natsserver
