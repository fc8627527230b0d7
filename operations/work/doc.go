// Package work does in a gateway what takes longer than a request of the operators' API:
// comparisons, rebuilds and swaps of read models, erasures and replays. The work itself is
// done by [operations.Operator], as for the commands.
//
// A request starts work and is answered at once. How far it is, and what came of it, stands
// in a [lease.Record] beside the log, where every gateway reads it, and where it outlives the
// gateway that did it. An operator can cancel work at any gateway.
//
// [Runner.Run] waits for the work at a stop, and work that a stop interrupts can be started
// again at another gateway.
package work
