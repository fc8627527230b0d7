// Package guardrails decides who may connect, what each client may do, how much
// and how fast it may take, and when it has to go.
//
// # Data flow
//
// Every decision is a value: it says whether the request is allowed and, when
// it is not, which limit was exceeded, how much of it is used, and when to retry. The
// package reads no clock and no random source, starts no goroutine, and neither
// logs nor does I/O: times and jitter come in as parameters, and enforcement,
// counting and logging are the caller's.
//
//	Origins, ClientAddress, Grant      who it is, and what that allows
//	Admission → Slot                   one more socket, for as long as it is open
//	Quota                              how fast an open socket may send
//	Limits                             everything that needs no memory
//
// # Invariants
//
//   - State is in three places only: the counts of an [Admission], the two
//     buckets of a [Quota], and a [Bucket] for other uses. What a socket holds of
//     the counts is taken and given back through one value, its [Slot], so that
//     no order of connects, refusals, disconnects and panics lets a count drift.
//   - What is refused changes nothing: it takes no slot and spends nothing.
//   - A limit of zero is off. In a dry run the limits refuse nothing, and
//     everything else, counts included, is as it would be for the clients that
//     are there.
//   - Who a client is never depends on bytes that it could have chosen itself:
//     an address is believed only from a trusted proxy, a [Grant] is made from
//     verified claims.
//
// # Concurrency
//
// [Admission], [Slot] and [Quota] may be used concurrently; each has a lock,
// under which nothing of the caller's is called. The other values are not
// changed once they are made, except a [Bucket], which belongs to its owner.
package guardrails
