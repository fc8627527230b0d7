// Package cluster carries the NATS configuration files of this folder, so that a
// program that starts servers with them needs no source tree. It has nothing else,
// and starts no goroutine.
package cluster
