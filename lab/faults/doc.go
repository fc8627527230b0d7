// Package faults is the matrix of faults: one row for each fault. Each row runs on
// a system of its own of real processes, and is judged by records that are written
// outside of that system.
//
// An operator's drill may run on a system that is already running ([Running]). It
// uses jobs of its own, and only those are judged.
//
// The [System] of a row describes the processes. The frame starts them, a producer
// that keeps every event until its receipt, and followers that resume by cursor. The
// row's Run causes the fault and measures the recovery. Then the frame waits until the
// system is quiet, reads the log and MongoDB back, and judges:
//
//	A  attempted by the producer         lost        K∖S, K∖M, and due∖C
//	K  acknowledged by a receipt         duplicated  an id twice in S, M or C
//	S  read back from the log            reordered   another order of a job in S or C
//	M  read back from MongoDB            phantom     S∖A
//	C  delivered, one file a client
//
// due is the part of S after the cursor with which a client began. The producer has
// one event of each job in flight, so S must have the order of A.
//
// # Invariants
//
//   - A row that cannot run is skipped with its reason; it never passes.
//   - A row fails if any of the four figures is not 0, if its recovery takes longer
//     than its limit, or if Run returns an error.
//   - Rows run one after the other. Everything that a row starts ends with the row.
//
// [Run] owns all goroutines: those of the producer, the followers and the load end
// before it returns.
package faults
