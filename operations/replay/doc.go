// Package replay hands records of the log on once more: to a reader, to another
// channel, to a collection of their own, to the clients of one job, or to the end
// of the log.
//
// Records come from the log ([Log]), oldest first, between two bounds that are
// settled before the first is read, so that a replay into the log ends. Those that
// a [Selection] lets through go to a [Sink] at a [Pace]. The sinks that need no
// driver are here ([Lines], [IntoLog], [Batches], [OneByOne]); what the last three
// write through is the caller's.
//
// # Invariants
//
//   - Nothing is written but by the sink, and the only sink that writes into the
//     log is [IntoLog].
//   - A sink is called by one goroutine, in the order of the log.
//   - A replay that ends early, for whatever reason, says in [Outcome].Next where
//     to go on: everything selected before that sequence has been taken by the
//     sink, and of what follows at most one batch.
//   - It holds one page of the log, and what the sink has not flushed: at most
//     [maxUnflushed] records or [maxUnflushedBytes] and one record.
//
// # Goroutines
//
// The package starts none. A replay may run beside gateways, and beside others.
package replay
