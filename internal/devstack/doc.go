// Package devstack runs the service's backends inside the process, so that one command runs
// the whole system on a machine that has only Go: a MongoDB-protocol server (FerretDB on
// SQLite) and a Redis-protocol server (miniredis).
//
// Both listen on TCP, normally on loopback and without authentication, and are for
// development and tests. FerretDB 1 uses indexes only for equality of _id: every other
// filter reads the whole collection, at about 25 µs for each document, and updates are
// equally slow. Inserts are fast.
//
// [StartMongo] and [StartRedis] start the goroutines of their server; its Close
// stops them and returns after they have ended. Several servers of each sort can
// run in one process.
package devstack
