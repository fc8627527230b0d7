// Package faults is the fault run: one row for each way in which the system can
// be hurt, each on a system of its own of real processes, judged by what was
// written down outside of it.
//
// A drill of an operator's may be run on a system that somebody else has started
// ([Running]): with jobs of its own, and nothing but those is judged.
//
// A row's [System] says what runs. The frame starts it, a producer that keeps
// every event until its receipt, and followers that resume by cursor; the row's
// Run hurts it, and measures how long it took to recover. Then the frame lets the
// system become quiet, reads back what the log and MongoDB have, and judges:
//
//	A  attempted by the producer         lost        K∖S, K∖M, and due∖C
//	K  acknowledged by a receipt         duplicated  an id twice in S, M or C
//	S  read back from the log            reordered   a job's order turned in S or C
//	M  read back from MongoDB            phantom     S∖A
//	C  delivered, one file a client
//
// due is what S has after the cursor with which a client began. The producer
// keeps one event a job in flight, so the order of S has to be the order of A.
//
// # Invariants
//
//   - A row that cannot run is skipped with its reason; it never passes.
//   - A row fails when any of the four figures is not 0, when its recovery takes
//     longer than its limit, or when Run says so.
//   - Rows run one after the other, and everything a row started ends with it.
//
// [Run] owns all goroutines: the producer's, the followers' and the load's end
// before it returns.
package faults
