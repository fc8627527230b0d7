// Package lease keeps the list of operations on the log that take several steps, such as
// a restore or an erasure, in the bucket NOVEL_OPERATIONS beside the log. An operation
// that runs holds a lease, so that no two run on one target, in any number of processes;
// one that was interrupted stays in the list until it is resumed or undone.
//
// The same bucket has the [Record] of the long work that gateways do for operators, with what
// came of it.
//
// [List.Begin] and [Record.Begin] start one goroutine each, which renews the lease and ends
// with [Held.End] and [HeldWork.End].
package lease
