// Package bench measures one gateway of real processes, and beside it, in the same
// run, what the machine itself can do: plain writes and syncs, and a bare loop of writes
// to sockets. Ratios within a run are what to compare; times are those of a machine
// that does other things as well.
//
// [Run] starts a redis-server and a gateway with its log inside, once with each event
// synced before its receipt and once every 10 s, and measures each [Row]. Rows about
// several gateways run them on one NATS server. Rows about peers give the same load to
// another server where it is installed. Events come
// from Redis as a worker publishes them and go to sockets as clients read them.
//
// # Invariants
//
//   - Every row counts what arrived: one that lost something is an error and no figure.
//   - CPU is the gateway's alone, as the kernel counts it; the clients are in this
//     process, and the bare loop is one thread of it whose own time is counted.
//   - Loads are bounded: 5,000 sockets, 600,000 deliveries a row, two minutes each. The
//     rows about growth store a million events at most, and take ten minutes at most.
//
// The goroutines of the clients end with their sockets, before Run returns.
package bench
